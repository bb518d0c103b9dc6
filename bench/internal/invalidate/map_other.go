//go:build !unix

package invalidate

import "errors"

func openLedger(string) (*ledger, error) {
	return nil, errors.New("no memory can be shared between processes on this system")
}
