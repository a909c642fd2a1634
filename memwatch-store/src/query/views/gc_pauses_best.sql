SELECT pause.*
FROM stored.gc_pauses AS pause
JOIN (
  SELECT service, instance, process, min(CASE origin WHEN 'memstats' THEN 1 WHEN 'trace' THEN 2 ELSE 3 END) AS best
  FROM stored.gc_pauses
  GROUP BY service, instance, process
) AS of
  ON pause.service = of.service AND pause.instance = of.instance AND (pause.process IS NOT DISTINCT FROM of.process)
  AND (CASE pause.origin WHEN 'memstats' THEN 1 WHEN 'trace' THEN 2 ELSE 3 END) = of.best
