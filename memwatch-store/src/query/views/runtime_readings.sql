-- What runtime/metrics says beside MemStats, one row a reading. The names are the same from a recorder's file and from client_golang.
SELECT
  service,
  instance,
  ts,
  max(CASE WHEN metric = 'go_gc_heap_live_bytes' THEN value END) AS heap_live_bytes,
  max(CASE WHEN metric = 'go_gc_heap_goal_bytes' THEN value END) AS heap_goal_bytes,
  max(CASE WHEN metric = 'go_gc_scan_stack_bytes' THEN value END) AS scan_stack_bytes,
  max(CASE WHEN metric = 'go_gc_scan_globals_bytes' THEN value END) AS scan_globals_bytes,
  max(CASE WHEN metric = 'go_gc_heap_allocs_bytes_total' THEN value END) AS allocs_bytes_total,
  max(CASE WHEN metric = 'go_gc_heap_allocs_objects_total' THEN value END) AS allocs_objects_total,
  max(CASE WHEN metric = 'go_gc_heap_tiny_allocs_objects_total' THEN value END) AS tiny_allocs_objects_total,
  max(CASE WHEN metric = 'go_gc_cycles_total_gc_cycles_total' THEN value END) AS gc_cycles_total,
  max(CASE WHEN metric = 'go_cpu_classes_gc_total_cpu_seconds_total' THEN value END) AS gc_cpu_seconds_total,
  max(CASE WHEN metric = 'go_cpu_classes_total_cpu_seconds_total' THEN value END) AS cpu_seconds_total
FROM metrics
WHERE metric IN (
  'go_gc_heap_live_bytes', 'go_gc_heap_goal_bytes', 'go_gc_scan_stack_bytes', 'go_gc_scan_globals_bytes',
  'go_gc_heap_allocs_bytes_total', 'go_gc_heap_allocs_objects_total', 'go_gc_heap_tiny_allocs_objects_total',
  'go_gc_cycles_total_gc_cycles_total', 'go_cpu_classes_gc_total_cpu_seconds_total',
  'go_cpu_classes_total_cpu_seconds_total')
GROUP BY service, instance, ts
