//go:build unix

package invalidate

import (
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// openLedger maps a file that createLedger made.
func openLedger(path string) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := syscall.Mmap(int(f.Fd()), 0, ledgerBytes(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	// A mapping begins with a page, so its words are aligned; and atomic.Uint64 is one word.
	words := unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/wordBytes)
	return &ledger{words, func() error { return syscall.Munmap(b) }}, nil
}
