--
-- PostgreSQL database dump
--

\restrict Eb6fkuUXPzsCrgvxWBRJrH98lC1fK2cnumh0X2AGp25LVQIT0Pngy1kIaWcfSWt

-- Dumped from database version 15.20 (Debian 15.20-0+deb12u1)
-- Dumped by pg_dump version 15.20 (Debian 15.20-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Data for Name: cleanup_audit; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.cleanup_audit (audit_id, at, actor, session_actor, event, policy, run_id, target, rows, details, wal_lsn) FROM stdin;
1	2026-11-21 12:45:07.514335+00	postgres	postgres	run	events	1	\N	10	{}	\N
2	2026-11-21 12:45:07.514521+00	postgres	postgres	run	events	2	\N	20	{}	\N
\.


--
-- Data for Name: cleanup_pauses; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.cleanup_pauses (paused_at, paused_by, reason, resumed_at, resumed_by, resume_reason) FROM stdin;
2026-11-21 12:45:07.514231+00	postgres	moving	2026-11-21 12:45:07.513356+00	postgres	\N
\.


--
-- Data for Name: cleanup_policies; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.cleanup_policies (policy_id, policy, target, age_column, retain, condition, action, set_values, age_unit, guard, on_reference, archive_to, archive_retain, batch_size, refuse_above_rows, refuse_above_fraction, time_zone, priority, enabled, description, created_by, created_at, changed_at) FROM stdin;
1	events	public.events	at	30 days	(target.kind = 'x'::text)	delete	\N	\N	\N	follow	\N	7 days	5	\N	\N	UTC	100	t	kept	postgres	2026-11-21 12:45:07.417713+00	2026-11-21 12:45:07.417713+00
2	notes	public.notes	at	40 days	\N	delete	\N	\N	\N	follow	\N	7 days	\N	\N	\N	Europe/Berlin	100	f	\N	postgres	2026-11-21 12:45:07.428262+00	2026-11-21 12:45:07.428262+00
\.


--
-- Name: cleanup_audit_audit_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.cleanup_audit_audit_id_seq', 2, true);


--
-- Name: cleanup_policies_policy_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.cleanup_policies_policy_id_seq', 2, true);


--
-- PostgreSQL database dump complete
--

\unrestrict Eb6fkuUXPzsCrgvxWBRJrH98lC1fK2cnumh0X2AGp25LVQIT0Pngy1kIaWcfSWt

