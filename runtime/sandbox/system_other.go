//go:build !linux || !(amd64 || arm64)

package sandbox

import "errors"

// system is what the operating system offers for resetting memories: nothing here.
type system struct{}

func openSystem() *system { return &system{} }

func (*system) close() {}

func (*system) scans() bool { return false }

func (*system) mapped([]byte, ResetMethod) *content { return nil }

func (*system) newStore(*content, uint64) (store, error) { return nil, errors.ErrUnsupported }

// region is address space of which a beginning may be used; there is none here.
type region struct {
	reserved []byte
	usable   int
}

func reserve(uint64) (region, error) { return region{}, errors.ErrUnsupported }

func (*region) reach(int) error { return errors.ErrUnsupported }

func (*region) free() {}

func drop([]byte) error { return errors.ErrUnsupported }

func yieldThread() {} // the system's own ideas of fairness must do

func (c *content) free() { c.bytes = nil }
