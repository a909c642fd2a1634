SELECT
  ts,
  service,
  instance,
  process,
  rate(ts, mallocs_total) OVER minute AS objects_per_second,
  rate(ts, total_alloc_bytes) OVER minute AS bytes_per_second,
  rate(ts, frees_total) OVER minute AS frees_per_second
FROM samples
WINDOW minute AS (PARTITION BY service, instance ORDER BY ts RANGE BETWEEN INTERVAL '1 minute' PRECEDING AND CURRENT ROW)
