//go:build !linux

package load

import "time"

func ownCPU() (time.Duration, error) { return 0, nil }

func cpuOf(int) (time.Duration, error) { return 0, nil }

func withDescendants(pid int) ([]int, error) { return []int{pid}, nil }
