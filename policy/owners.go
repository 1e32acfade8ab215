package policy

import "sync/atomic"

// owners counts the holders of something that the last of them closes. The zero value is
// held by its maker.
type owners struct{ more atomic.Int64 } // than one

// hold adds an owner. The caller is one itself, or knows one that does not give up meanwhile.
func (o *owners) hold() { o.more.Add(1) }

// giveUp takes an owner away and reports whether it was the last one.
func (o *owners) giveUp() (last bool) { return o.more.Add(-1) < 0 }
