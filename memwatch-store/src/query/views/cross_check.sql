-- What one source says of a process, held against what another says. A check without its second source has NULL.
WITH processes AS (
  SELECT
    service, instance, process, min(ts) AS first, max(ts) AS last,
    min(num_gc) AS first_gc, max(num_gc) AS last_gc,
    min(pause_total_ns) AS first_pause_ns, max(pause_total_ns) AS last_pause_ns
  FROM samples
  GROUP BY service, instance, process
),
-- MemStats, one row a cycle: when it ended, and the goal that held until it began.
ended AS (
  SELECT
    service, instance, process, num_gc AS gc_num, min(last_gc_ns) AS ended_ns,
    lag(max(next_gc_bytes)) OVER (PARTITION BY service, instance, process ORDER BY num_gc) AS goal_bytes,
    lag(num_gc) OVER (PARTITION BY service, instance, process ORDER BY num_gc) AS before
  FROM samples
  WHERE num_gc > 0
  GROUP BY service, instance, process, num_gc
),
-- gctrace, one row a cycle of the stretch that MemStats covers.
traced AS (
  SELECT
    c.service, c.instance, c.process, c.gc_num, count(*) AS lines, min(c.ts) AS began, min(c.heap_goal_bytes) AS goal_bytes,
    min(c.sweep_termination_ns + c.mark_termination_ns) AS pause_ns,
    min(c.sweep_termination_ns + c.mark_ns + c.mark_termination_ns) AS took_ns
  FROM gc_cycles AS c
  JOIN processes AS p
    ON p.service = c.service AND p.instance = c.instance AND (p.process IS NOT DISTINCT FROM c.process)
  WHERE c.sweep_termination_ns IS NOT NULL AND c.gc_num > p.first_gc AND c.gc_num <= p.last_gc
  GROUP BY c.service, c.instance, c.process, c.gc_num
),
cycles AS (
  SELECT
    service, instance, process, count(*) AS cycles, sum(lines) - count(*) AS repeated, sum(pause_ns) AS pause_ns
  FROM traced
  GROUP BY service, instance, process
),
matched AS (
  SELECT
    t.service, t.instance, t.process,
    (CAST(arrow_cast(t.began, 'Timestamp(Nanosecond, Some("UTC"))') AS BIGINT) + t.took_ns - e.ended_ns) / 1e9 AS off_seconds,
    CASE WHEN e.before = e.gc_num - 1 AND e.goal_bytes < 4611686018427387904 THEN t.goal_bytes END AS traced_goal,
    CASE WHEN e.before = e.gc_num - 1 AND e.goal_bytes < 4611686018427387904 THEN e.goal_bytes END AS goal
  FROM traced AS t
  JOIN ended AS e
    ON e.service = t.service AND e.instance = t.instance AND (e.process IS NOT DISTINCT FROM t.process) AND e.gc_num = t.gc_num
),
clocks AS (
  SELECT
    service, instance, process, median(off_seconds) AS off_seconds,
    100.0 * avg(CASE WHEN abs(off_seconds) <= 0.5 THEN 1.0 ELSE 0.0 END) AS agreement,
    avg(traced_goal) AS traced_goal, avg(goal) AS goal,
    -- gctrace writes whole megabytes.
    100.0 * avg(CASE WHEN goal IS NULL THEN NULL WHEN abs(traced_goal - goal) <= 1048576 + 0.05 * goal THEN 1.0 ELSE 0.0 END)
      AS goal_agreement
  FROM matched
  GROUP BY service, instance, process
),
-- Counters of other sources at other moments: what they say must lie between the samples before and after. As much as was allocated between
-- these, and 64 KiB, is let pass on either side: two readings of one round have one time, and one of them came first.
counters AS (
  SELECT
    service, instance, ts, process, total_alloc_bytes AS bytes, CAST(NULL AS BIGINT) AS other_bytes, 0 AS source
  FROM samples
  WHERE read_ns IS NOT NULL AND total_alloc_bytes IS NOT NULL
  UNION ALL
  SELECT service, instance, ts, NULL, NULL, CAST(allocs_bytes_total AS BIGINT), 1
  FROM runtime_readings
  WHERE allocs_bytes_total IS NOT NULL
  UNION ALL
  SELECT service, instance, ts, process, NULL, total_alloc_bytes, 2
  FROM samples
  WHERE read_ns IS NULL AND total_alloc_bytes IS NOT NULL
),
bracketed AS (
  SELECT
    *,
    last_value(bytes) IGNORE NULLS OVER earlier AS bytes_before,
    last_value(CASE WHEN source = 0 THEN process END) IGNORE NULLS OVER earlier AS process_before,
    first_value(bytes) IGNORE NULLS OVER later AS bytes_after,
    first_value(CASE WHEN source = 0 THEN process END) IGNORE NULLS OVER later AS process_after
  FROM counters
  WINDOW
    earlier AS (PARTITION BY service, instance ORDER BY ts, source ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
    later AS (PARTITION BY service, instance ORDER BY ts, source ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
),
between_samples AS (
  SELECT
    service, instance, process_before AS process, source, count(*) AS readings,
    sum(CASE WHEN other_bytes BETWEEN 2 * bytes_before - bytes_after - 65536 AND 2 * bytes_after - bytes_before + 65536
      THEN 1 ELSE 0 END) AS fitting
  FROM bracketed
  WHERE source > 0 AND bytes_before IS NOT NULL AND bytes_after IS NOT NULL
    AND (process_before IS NOT DISTINCT FROM process_after)
  GROUP BY service, instance, process_before, source
),
steps AS (
  SELECT
    service, instance, process,
    mallocs_total < lag(mallocs_total) OVER (PARTITION BY service, instance, process ORDER BY ts) AS falls,
    heap_sys_bytes = heap_inuse_bytes + heap_idle_bytes AND heap_objects = mallocs_total - frees_total
      AND heap_alloc_bytes <= heap_inuse_bytes AS adds_up
  FROM samples
  WHERE mallocs_total IS NOT NULL
),
sums AS (
  SELECT
    service, instance, process, count(*) AS readings, sum(CASE WHEN falls THEN 1 ELSE 0 END) AS falls,
    count(adds_up) AS complete, sum(CASE WHEN adds_up THEN 1 ELSE 0 END) AS adding_up
  FROM steps
  GROUP BY service, instance, process
),
checks AS (
  SELECT
    p.service, p.instance, p.process, 'gctrace cycles' AS "check", 'MemStats NumGC' AS expected_from, 'gctrace' AS found_from,
    CAST(p.last_gc - p.first_gc AS DOUBLE) AS expected, CAST(c.cycles AS DOUBLE) AS found,
    CASE WHEN c.cycles > 0
      THEN 100.0 * least(c.cycles, p.last_gc - p.first_gc) / nullif(greatest(c.cycles, p.last_gc - p.first_gc), 0)
    END AS agreement_percent,
    CASE
      WHEN c.repeated > 0 THEN 'numbers of cycles come twice: two processes under one name'
      WHEN c.cycles < p.last_gc - p.first_gc THEN 'lines of gctrace are missing'
    END AS finding
  FROM processes AS p
  LEFT JOIN cycles AS c ON c.service = p.service AND c.instance = p.instance AND (c.process IS NOT DISTINCT FROM p.process)
  UNION ALL
  SELECT
    p.service, p.instance, p.process, 'gctrace pauses', 'MemStats PauseTotalNs', 'gctrace',
    CAST(p.last_pause_ns - p.first_pause_ns AS DOUBLE), CAST(c.pause_ns AS DOUBLE),
    CASE WHEN c.cycles > 0
      THEN 100.0 * least(c.pause_ns, p.last_pause_ns - p.first_pause_ns)
        / nullif(greatest(c.pause_ns, p.last_pause_ns - p.first_pause_ns), 0)
    END,
    CASE
      WHEN abs(c.pause_ns - (p.last_pause_ns - p.first_pause_ns)) > 0.1 * (p.last_pause_ns - p.first_pause_ns) + 1000000
      THEN 'the pauses of gctrace do not add up to MemStats'': lines are missing, or it is another process'
    END
  FROM processes AS p
  LEFT JOIN cycles AS c ON c.service = p.service AND c.instance = p.instance AND (c.process IS NOT DISTINCT FROM p.process)
  UNION ALL
  SELECT
    p.service, p.instance, p.process, 'gctrace heap goal', 'MemStats NextGC', 'gctrace', k.goal, k.traced_goal,
    k.goal_agreement,
    CASE WHEN k.goal_agreement < 90.0 THEN 'the heap goals of gctrace are not those of MemStats: it is another process' END
  FROM processes AS p
  LEFT JOIN clocks AS k ON k.service = p.service AND k.instance = p.instance AND (k.process IS NOT DISTINCT FROM p.process)
  UNION ALL
  SELECT
    p.service, p.instance, p.process, 'gctrace clock', 'MemStats LastGC', 'gctrace', 0.0, k.off_seconds, k.agreement,
    CASE WHEN k.agreement < 90.0 THEN 'the cycles of gctrace ended at other times: give the start of the process with --at' END
  FROM processes AS p
  LEFT JOIN clocks AS k ON k.service = p.service AND k.instance = p.instance AND (k.process IS NOT DISTINCT FROM p.process)
  UNION ALL
  SELECT
    p.service, p.instance, p.process, 'runtime/metrics', 'MemStats TotalAlloc', '/gc/heap/allocs:bytes',
    CAST(b.readings AS DOUBLE), CAST(b.fitting AS DOUBLE), 100.0 * b.fitting / nullif(b.readings, 0),
    CASE WHEN 100.0 * b.fitting < 95.0 * b.readings
      THEN 'totals do not lie between the samples around them: another clock, or another process' END
  FROM processes AS p
  LEFT JOIN between_samples AS b
    ON b.service = p.service AND b.instance = p.instance AND (b.process IS NOT DISTINCT FROM p.process) AND b.source = 1
  UNION ALL
  SELECT
    p.service, p.instance, p.process, 'expvar', 'MemStats TotalAlloc', 'expvar',
    CAST(b.readings AS DOUBLE), CAST(b.fitting AS DOUBLE), 100.0 * b.fitting / nullif(b.readings, 0),
    CASE WHEN 100.0 * b.fitting < 95.0 * b.readings
      THEN 'totals do not lie between the samples around them: another clock, or another process' END
  FROM processes AS p
  LEFT JOIN between_samples AS b
    ON b.service = p.service AND b.instance = p.instance AND (b.process IS NOT DISTINCT FROM p.process) AND b.source = 2
  UNION ALL
  SELECT
    p.service, p.instance, p.process, 'counters', 'never fall', 'MemStats Mallocs',
    CAST(s.readings AS DOUBLE), CAST(s.readings - s.falls AS DOUBLE), 100.0 * (s.readings - s.falls) / nullif(s.readings, 0),
    CASE WHEN s.falls > 1 THEN 'counters fall again and again: two processes under one name'
         WHEN s.falls = 1 AND p.process IS NOT NULL THEN 'counters fall once within a process: a restart that nobody wrote down' END
  FROM processes AS p
  LEFT JOIN sums AS s ON s.service = p.service AND s.instance = p.instance AND (s.process IS NOT DISTINCT FROM p.process)
  UNION ALL
  SELECT
    p.service, p.instance, p.process, 'sums', 'HeapInuse + HeapIdle, Mallocs - Frees', 'HeapSys, HeapObjects',
    CAST(s.complete AS DOUBLE), CAST(s.adding_up AS DOUBLE), 100.0 * s.adding_up / nullif(s.complete, 0),
    CASE WHEN s.adding_up < s.complete THEN 'fields of one reading do not add up: it was put together from several' END
  FROM processes AS p
  LEFT JOIN sums AS s ON s.service = p.service AND s.instance = p.instance AND (s.process IS NOT DISTINCT FROM p.process)
)
SELECT service, instance, process, "check", expected_from, found_from, expected, found, agreement_percent, finding
FROM checks
