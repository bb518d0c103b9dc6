package load

import (
	"runtime"
	"time"
)

// A Usage is what a process has spent since it began.
type Usage struct {
	CPU    time.Duration // of user and system; 0 if it cannot be known here
	Allocs uint64        // objects on Go's heap; 0 for a process that is not Go's
}

// Minus returns what was spent between an earlier Usage and u.
func (u Usage) Minus(earlier Usage) Usage {
	return Usage{CPU: u.CPU - earlier.CPU, Allocs: u.Allocs - earlier.Allocs}
}

// Spent returns what this process has spent.
func Spent() (Usage, error) {
	cpu, err := ownCPU()
	if err != nil {
		return Usage{}, err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Usage{CPU: cpu, Allocs: m.Mallocs}, nil
}

// SpentBy returns what another process has spent.
func SpentBy(pid int) (Usage, error) {
	cpu, err := cpuOf(pid)
	return Usage{CPU: cpu}, err
}

// SpentByTree returns what a process has spent, and those that it started, and so on.
func SpentByTree(pid int) (Usage, error) {
	all, err := withDescendants(pid)
	if err != nil {
		return Usage{}, err
	}
	var sum Usage
	for _, p := range all {
		u, err := SpentBy(p)
		if err != nil {
			return Usage{}, err
		}
		sum.CPU += u.CPU
	}
	return sum, nil
}
