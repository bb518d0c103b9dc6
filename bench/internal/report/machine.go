package report

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine describes what the figures were measured on: the model of the processor, cores, kernel, Go.
func Machine() string {
	parts := []string{fmt.Sprintf("%d cores", runtime.NumCPU()), runtime.GOOS + "/" + runtime.GOARCH, runtime.Version()}
	if model := cpuModel(); model != "" {
		parts = append([]string{model}, parts...)
	}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		parts = append(parts, "kernel "+strings.TrimSpace(string(kernel)))
	}
	if n := runtime.GOMAXPROCS(0); n != runtime.NumCPU() {
		parts = append(parts, fmt.Sprintf("GOMAXPROCS=%d", n))
	}
	return strings.Join(parts, ", ")
}

// cpuModel returns the processor's name, "" if this system does not say it in the way of Linux.
func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
