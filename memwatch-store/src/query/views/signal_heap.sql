-- The live heap and the roots are read at other moments than MemStats: the newest reading of the same process holds. Those of
-- runtime/metrics are exact; gctrace's are whole megabytes, and used where there are no others.
WITH readings AS (
  SELECT
    service, instance, ts, true AS sample, process, heap_inuse_bytes, heap_alloc_bytes, next_gc_bytes, gogc,
    CAST(NULL AS DOUBLE) AS live, CAST(NULL AS DOUBLE) AS roots,
    CAST(NULL AS DOUBLE) AS traced_live, CAST(NULL AS DOUBLE) AS traced_roots
  FROM samples
  UNION ALL
  SELECT
    service, instance, ts, false, NULL, NULL, NULL, NULL, NULL,
    heap_live_bytes, scan_stack_bytes + scan_globals_bytes, NULL, NULL
  FROM runtime_readings
  UNION ALL
  SELECT
    service, instance, ts, false, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, CAST(heap_live_bytes AS DOUBLE), CAST(stacks_bytes + globals_bytes AS DOUBLE)
  FROM gc_cycles
),
filled AS (
  SELECT
    *,
    last_value(live) IGNORE NULLS OVER earlier AS last_live,
    last_value(roots) IGNORE NULLS OVER earlier AS last_roots,
    last_value(CASE WHEN live IS NOT NULL THEN ts END) IGNORE NULLS OVER earlier AS live_at,
    last_value(traced_live) IGNORE NULLS OVER earlier AS last_traced_live,
    last_value(traced_roots) IGNORE NULLS OVER earlier AS last_traced_roots,
    last_value(CASE WHEN traced_live IS NOT NULL THEN ts END) IGNORE NULLS OVER earlier AS traced_at,
    min(CASE WHEN sample THEN ts END) OVER (PARTITION BY service, instance, process) AS process_begins
  FROM readings
  WINDOW earlier AS (PARTITION BY service, instance ORDER BY ts, sample ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),
known AS (
  SELECT
    ts, service, instance, process, heap_inuse_bytes, heap_alloc_bytes, gogc,
    -- Without a goal (GOGC=off) the runtime names a number near 2^63.
    CASE WHEN next_gc_bytes < 4611686018427387904 THEN next_gc_bytes END AS goal_bytes,
    CASE WHEN live_at >= process_begins THEN last_live
         WHEN traced_at >= process_begins THEN last_traced_live END AS live_bytes,
    CASE WHEN live_at >= process_begins THEN last_roots
         WHEN traced_at >= process_begins THEN last_traced_roots END AS roots_bytes
  FROM filled
  WHERE sample
)
SELECT
  ts,
  service,
  instance,
  process,
  heap_inuse_bytes,
  heap_alloc_bytes,
  live_bytes,
  roots_bytes,
  goal_bytes,
  gogc,
  100.0 * (goal_bytes - live_bytes) / nullif(live_bytes + roots_bytes, 0.0) AS effective_gogc
FROM known
