//go:build linux

package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

const instanceCount = 5

// addr and uid are the i-th instance's. What runs as that user calls from that address.
func addr(i int) string { return fmt.Sprintf("127.0.0.%d", 11+i) }
func uid(i int) uint32  { return uint32(10011 + i) }

// makeNetwork gives the namespace its addresses. The route of a packet hangs on the user who sends it, and says from which address; so the rules of the
// firewall can go by addresses, though no instance binds those that it calls from.
func makeNetwork() error {
	steps := []string{"link set lo up"}
	for i := range instanceCount {
		table := 100 + i
		steps = append(steps,
			fmt.Sprintf("addr add %s/32 dev lo", addr(i)),
			fmt.Sprintf("route add local 127.0.0.0/8 dev lo src %s table %d", addr(i), table),
			fmt.Sprintf("rule add pref %d uidrange %d-%d lookup %d", table, uid(i), uid(i), table))
	}
	steps = append(steps, "rule add pref 32000 lookup local", "rule del pref 0") // which comes before all others
	for _, s := range steps {
		if out, err := exec.Command("ip", strings.Fields(s)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", s, err, out)
		}
	}
	// What else the tests need of it is tried out.
	if err := drop([]string{addr(0)}, []string{addr(1)}); err != nil {
		return err
	}
	if err := dropNothing(); err != nil {
		return err
	}
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid(0), Gid: uid(0)}}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("a process of another user: %w", err)
	}
	return nil
}

// drop drops all packets between the addresses of one side and those of the other, in both directions.
func drop(one, other []string) error {
	return nft(fmt.Sprintf(`table ip e2e {
	chain input {
		type filter hook input priority 0;
		ip saddr { %[1]s } ip daddr { %[2]s } drop
		ip saddr { %[2]s } ip daddr { %[1]s } drop
	}
}`, strings.Join(one, ", "), strings.Join(other, ", ")))
}

func dropNothing() error { return nft("delete table ip e2e") }

func nft(rules string) error {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}
