package processtest

import (
	"os/exec"
	"testing"
)

// Start starts a program, which the test kills if it is still there at the end.
func Start(t *testing.T, program string, args ...string) (_ *exec.Cmd, stdout, stderr *Output) {
	t.Helper()
	cmd := exec.Command(program, args...)
	stdout, stderr = new(Output), new(Output)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // or been waited for
	})
	return cmd, stdout, stderr
}
