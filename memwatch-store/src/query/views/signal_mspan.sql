WITH stretches AS (
  SELECT
    service, instance, process, date_bin(INTERVAL '6 hours', ts) AS since, min(ts) AS first, max(ts) AS last,
    last_value(mspan_inuse_bytes ORDER BY ts) AS mspan_inuse_bytes,
    last_value(heap_inuse_bytes ORDER BY ts) AS heap_inuse_bytes,
    leak(ts, mspan_inuse_bytes) AS mspan,
    leak(ts, heap_inuse_bytes, num_gc) AS heap
  FROM samples
  WHERE mspan_inuse_bytes IS NOT NULL
  GROUP BY service, instance, process, date_bin(INTERVAL '6 hours', ts)
)
SELECT
  service,
  instance,
  process,
  first,
  last,
  mspan_inuse_bytes,
  heap_inuse_bytes,
  CAST(mspan_inuse_bytes AS DOUBLE) / nullif(heap_inuse_bytes, 0) AS mspan_share,
  mspan['leak'] AS mspan_leaks,
  mspan['slope'] AS mspan_bytes_per_second,
  mspan['growth'] AS mspan_growth,
  heap['leak'] AS heap_leaks,
  heap['slope'] AS heap_bytes_per_second
FROM stretches
