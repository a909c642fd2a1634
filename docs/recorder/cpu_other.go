//go:build !unix

package recorder

// cpuMicros is not known here.
func cpuMicros() (user, system int64, ok bool) { return 0, 0, false }
