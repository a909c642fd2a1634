-- Exact where the pauses are known; of the runtime's histogram where only that is; and a warning where there is only client_golang's summary.
WITH exact AS (
  SELECT
    service, instance, date_trunc('minute', ts) AS minute, 'pauses' AS source, CAST(count(*) AS DOUBLE) AS pauses,
    avg(pause_ns) AS mean_ns, quantile(pause_ns, 0.5, 0.99) AS quantiles_ns, CAST(max(pause_ns) AS DOUBLE) AS max_ns,
    CAST(sum(pause_ns) AS DOUBLE) AS total_ns, CAST(NULL AS VARCHAR) AS warning
  FROM gc_pauses_best
  GROUP BY service, instance, date_trunc('minute', ts)
),
buckets AS (
  SELECT
    service, instance, date_trunc('minute', ts) AS minute, CAST(label(labels, 'le') AS DOUBLE) AS le,
    increase(ts, value) AS observed
  FROM metrics
  WHERE metric = 'go_gc_pauses_seconds_bucket' AND kind = 'histogram'
  GROUP BY service, instance, date_trunc('minute', ts), labels
),
bucketed AS (
  SELECT
    service, instance, minute, max(observed) AS pauses,
    1e9 * histogram_quantile(le, observed, 0.5) AS p50_ns, 1e9 * histogram_quantile(le, observed, 0.99) AS p99_ns
  FROM buckets
  GROUP BY service, instance, minute
),
summaries AS (
  SELECT
    service, instance, date_trunc('minute', ts) AS minute,
    increase(ts, CASE WHEN metric = 'go_gc_duration_seconds_count' THEN value END) AS pauses,
    1e9 * increase(ts, CASE WHEN metric = 'go_gc_duration_seconds_sum' THEN value END) AS total_ns
  FROM metrics
  WHERE metric IN ('go_gc_duration_seconds_count', 'go_gc_duration_seconds_sum')
  GROUP BY service, instance, date_trunc('minute', ts)
),
known AS (SELECT DISTINCT service, instance FROM gc_pauses),
histograms AS (SELECT DISTINCT service, instance FROM buckets)
SELECT
  service, instance, minute, source, pauses, mean_ns, quantiles_ns[1] AS p50_ns, quantiles_ns[2] AS p99_ns, max_ns, total_ns,
  warning
FROM exact
UNION ALL
SELECT
  b.service, b.instance, b.minute, 'histogram', b.pauses, NULL, b.p50_ns, b.p99_ns, NULL, NULL,
  'no single pauses are recorded: quantiles are no finer than the buckets of the runtime''s histogram'
FROM bucketed AS b
LEFT JOIN known AS k ON k.service = b.service AND k.instance = b.instance
WHERE k.service IS NULL
UNION ALL
SELECT
  s.service, s.instance, s.minute, 'summary', s.pauses, s.total_ns / nullif(s.pauses, 0.0), NULL, NULL, NULL, s.total_ns,
  'go_gc_duration_seconds has no 0.99: only 0, 0.25, 0.5, 0.75 and 1, of the last 256 cycles instead of this minute; record pauses or /gc/pauses:seconds'
FROM summaries AS s
LEFT JOIN known AS k ON k.service = s.service AND k.instance = s.instance
LEFT JOIN histograms AS h ON h.service = s.service AND h.instance = s.instance
WHERE k.service IS NULL AND h.service IS NULL
