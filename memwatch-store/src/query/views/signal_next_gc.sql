WITH cpu AS (
  SELECT
    service, instance, ts,
    rate(ts, gc_cpu_seconds_total) OVER minute / nullif(rate(ts, cpu_seconds_total) OVER minute, 0.0) AS gc_cpu_share
  FROM runtime_readings
  WINDOW minute AS (PARTITION BY service, instance ORDER BY ts RANGE BETWEEN INTERVAL '1 minute' PRECEDING AND CURRENT ROW)
),
rates AS (
  SELECT
    *,
    rate(ts, total_alloc_bytes) OVER (
      PARTITION BY service, instance ORDER BY ts
      RANGE BETWEEN INTERVAL '10 seconds' PRECEDING AND CURRENT ROW) AS alloc_bytes_per_second,
    rate(ts, num_gc) OVER (
      PARTITION BY service, instance ORDER BY ts
      RANGE BETWEEN INTERVAL '1 minute' PRECEDING AND CURRENT ROW) AS cycles_per_second
  FROM samples
),
readings AS (
  SELECT
    service, instance, ts, true AS sample, process, heap_alloc_bytes, next_gc_bytes, memory_limit_bytes, sys_bytes,
    heap_released_bytes, gc_cpu_fraction, alloc_bytes_per_second, cycles_per_second, CAST(NULL AS DOUBLE) AS gc_cpu_share
  FROM rates
  UNION ALL
  SELECT service, instance, ts, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, gc_cpu_share FROM cpu
),
filled AS (
  SELECT
    *,
    last_value(gc_cpu_share) IGNORE NULLS OVER earlier AS last_gc_cpu_share,
    last_value(CASE WHEN gc_cpu_share IS NOT NULL THEN ts END) IGNORE NULLS OVER earlier AS gc_cpu_share_at,
    min(CASE WHEN sample THEN ts END) OVER (PARTITION BY service, instance, process) AS process_begins
  FROM readings
  WINDOW earlier AS (PARTITION BY service, instance ORDER BY ts, sample ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),
known AS (
  SELECT
    *,
    CASE WHEN next_gc_bytes < 4611686018427387904 THEN next_gc_bytes - heap_alloc_bytes END AS bytes_to_goal,
    CASE WHEN memory_limit_bytes < 9223372036854775807 THEN memory_limit_bytes END AS limit_bytes,
    sys_bytes - heap_released_bytes AS used_bytes
  FROM filled
  WHERE sample
)
SELECT
  ts,
  service,
  instance,
  process,
  bytes_to_goal,
  alloc_bytes_per_second,
  CASE WHEN bytes_to_goal <= 0 THEN 0.0 ELSE bytes_to_goal / nullif(alloc_bytes_per_second, 0.0) END AS seconds_to_next_gc,
  1.0 / nullif(cycles_per_second, 0.0) AS seconds_between_cycles,
  CASE WHEN gc_cpu_share_at >= process_begins THEN last_gc_cpu_share END AS gc_cpu_share,
  gc_cpu_fraction,
  limit_bytes AS memory_limit_bytes,
  used_bytes AS memory_used_bytes,
  limit_bytes - used_bytes AS memory_left_bytes
FROM known
