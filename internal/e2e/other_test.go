//go:build !linux

package e2e

import "testing"

func TestFaults(t *testing.T) { t.Skip("network namespaces are Linux's") }
