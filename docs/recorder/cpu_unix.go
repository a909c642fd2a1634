//go:build unix

package recorder

import "syscall"

// cpuMicros is the CPU time of the process in user and kernel mode, to the microsecond. (/proc/self/stat has only ticks of 10 ms.)
func cpuMicros() (user, system int64, ok bool) {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0, 0, false
	}
	micros := func(t syscall.Timeval) int64 { return int64(t.Sec)*1e6 + int64(t.Usec) }
	return micros(usage.Utime), micros(usage.Stime), true
}
