--
-- PostgreSQL database dump
--

\restrict uXZjEtxoTwZuGlE61AzH4iOB5wiDBbZToUunMjKbSc7fUqWCh7Via2kr3NbSJN7

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
-- Name: pg_cleanup; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS pg_cleanup WITH SCHEMA public;


--
-- Name: EXTENSION pg_cleanup; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION pg_cleanup IS 'data retention: policies that remove old rows in small batches, with preview, statistics and audit';


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: events; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.events (
    id integer NOT NULL,
    at timestamp with time zone,
    kind text
);


ALTER TABLE public.events OWNER TO postgres;

--
-- Name: notes; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.notes (
    id integer NOT NULL,
    event integer,
    at timestamp with time zone
);


ALTER TABLE public.notes OWNER TO postgres;

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
-- Data for Name: events; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.events (id, at, kind) FROM stdin;
1	2026-11-20 12:45:07.329329+00	x
2	2026-11-19 12:45:07.329329+00	x
3	2026-11-18 12:45:07.329329+00	x
4	2026-11-17 12:45:07.329329+00	x
5	2026-11-16 12:45:07.329329+00	x
6	2026-11-15 12:45:07.329329+00	x
7	2026-11-14 12:45:07.329329+00	x
8	2026-11-13 12:45:07.329329+00	x
9	2026-11-12 12:45:07.329329+00	x
10	2026-11-11 12:45:07.329329+00	x
11	2026-11-10 12:45:07.329329+00	x
12	2026-11-09 12:45:07.329329+00	x
13	2026-11-08 12:45:07.329329+00	x
14	2026-11-07 12:45:07.329329+00	x
15	2026-11-06 12:45:07.329329+00	x
16	2026-11-05 12:45:07.329329+00	x
17	2026-11-04 12:45:07.329329+00	x
18	2026-11-03 12:45:07.329329+00	x
19	2026-11-02 12:45:07.329329+00	x
20	2026-11-01 12:45:07.329329+00	x
21	2026-10-31 12:45:07.329329+00	x
22	2026-10-30 12:45:07.329329+00	x
23	2026-10-29 12:45:07.329329+00	x
24	2026-10-28 12:45:07.329329+00	x
25	2026-10-27 12:45:07.329329+00	x
26	2026-10-26 12:45:07.329329+00	x
27	2026-10-25 12:45:07.329329+00	x
28	2026-10-24 12:45:07.329329+00	x
29	2026-10-23 12:45:07.329329+00	x
30	2026-10-22 12:45:07.329329+00	x
31	2026-10-21 12:45:07.329329+00	x
32	2026-10-20 12:45:07.329329+00	x
33	2026-10-19 12:45:07.329329+00	x
34	2026-10-18 12:45:07.329329+00	x
35	2026-10-17 12:45:07.329329+00	x
36	2026-10-16 12:45:07.329329+00	x
37	2026-10-15 12:45:07.329329+00	x
38	2026-10-14 12:45:07.329329+00	x
39	2026-10-13 12:45:07.329329+00	x
40	2026-10-12 12:45:07.329329+00	x
41	2026-10-11 12:45:07.329329+00	x
42	2026-10-10 12:45:07.329329+00	x
43	2026-10-09 12:45:07.329329+00	x
44	2026-10-08 12:45:07.329329+00	x
45	2026-10-07 12:45:07.329329+00	x
46	2026-10-06 12:45:07.329329+00	x
47	2026-10-05 12:45:07.329329+00	x
48	2026-10-04 12:45:07.329329+00	x
49	2026-10-03 12:45:07.329329+00	x
50	2026-10-02 12:45:07.329329+00	x
\.


--
-- Data for Name: notes; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.notes (id, event, at) FROM stdin;
1	1	2026-11-20 12:45:07.329329+00
2	2	2026-11-19 12:45:07.329329+00
3	3	2026-11-18 12:45:07.329329+00
4	4	2026-11-17 12:45:07.329329+00
5	5	2026-11-16 12:45:07.329329+00
6	6	2026-11-15 12:45:07.329329+00
7	7	2026-11-14 12:45:07.329329+00
8	8	2026-11-13 12:45:07.329329+00
9	9	2026-11-12 12:45:07.329329+00
10	10	2026-11-11 12:45:07.329329+00
11	11	2026-11-10 12:45:07.329329+00
12	12	2026-11-09 12:45:07.329329+00
13	13	2026-11-08 12:45:07.329329+00
14	14	2026-11-07 12:45:07.329329+00
15	15	2026-11-06 12:45:07.329329+00
16	16	2026-11-05 12:45:07.329329+00
17	17	2026-11-04 12:45:07.329329+00
18	18	2026-11-03 12:45:07.329329+00
19	19	2026-11-02 12:45:07.329329+00
20	20	2026-11-01 12:45:07.329329+00
21	21	2026-10-31 12:45:07.329329+00
22	22	2026-10-30 12:45:07.329329+00
23	23	2026-10-29 12:45:07.329329+00
24	24	2026-10-28 12:45:07.329329+00
25	25	2026-10-27 12:45:07.329329+00
26	26	2026-10-26 12:45:07.329329+00
27	27	2026-10-25 12:45:07.329329+00
28	28	2026-10-24 12:45:07.329329+00
29	29	2026-10-23 12:45:07.329329+00
30	30	2026-10-22 12:45:07.329329+00
31	31	2026-10-21 12:45:07.329329+00
32	32	2026-10-20 12:45:07.329329+00
33	33	2026-10-19 12:45:07.329329+00
34	34	2026-10-18 12:45:07.329329+00
35	35	2026-10-17 12:45:07.329329+00
36	36	2026-10-16 12:45:07.329329+00
37	37	2026-10-15 12:45:07.329329+00
38	38	2026-10-14 12:45:07.329329+00
39	39	2026-10-13 12:45:07.329329+00
40	40	2026-10-12 12:45:07.329329+00
41	41	2026-10-11 12:45:07.329329+00
42	42	2026-10-10 12:45:07.329329+00
43	43	2026-10-09 12:45:07.329329+00
44	44	2026-10-08 12:45:07.329329+00
45	45	2026-10-07 12:45:07.329329+00
46	46	2026-10-06 12:45:07.329329+00
47	47	2026-10-05 12:45:07.329329+00
48	48	2026-10-04 12:45:07.329329+00
49	49	2026-10-03 12:45:07.329329+00
50	50	2026-10-02 12:45:07.329329+00
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
-- Name: events events_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);


--
-- Name: notes notes_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.notes
    ADD CONSTRAINT notes_pkey PRIMARY KEY (id);


--
-- Name: notes_event_idx; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX notes_event_idx ON public.notes USING btree (event);


--
-- Name: notes notes_event_fkey; Type: FK CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.notes
    ADD CONSTRAINT notes_event_fkey FOREIGN KEY (event) REFERENCES public.events(id) ON DELETE CASCADE;


--
-- PostgreSQL database dump complete
--

\unrestrict uXZjEtxoTwZuGlE61AzH4iOB5wiDBbZToUunMjKbSc7fUqWCh7Via2kr3NbSJN7

