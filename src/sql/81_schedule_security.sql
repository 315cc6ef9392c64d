-- As in the file before; the schedule for every policy concerns everybody.
ALTER TABLE cleanup_schedules ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_schedules FOR SELECT
  USING (policy_id IS NULL OR (SELECT cleanup_sees_every_policy())
    OR policy_id = ANY ((SELECT cleanup_visible_policies())::bigint[]));

ALTER TABLE cleanup_schedule_states ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_schedule_states FOR SELECT
  USING (EXISTS (SELECT FROM cleanup_schedules s WHERE s.schedule_id = cleanup_schedule_states.schedule_id));
