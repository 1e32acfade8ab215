package kubernetes

import (
	"slices"
	"strings"
	"sync"
	"time"

	"policy-server/hostcalls"
	"policy-server/jsontext"
)

// store holds the objects of one watch. A reflector fills it, lists read it.
type store struct {
	synced chan struct{} // closed when the first list is complete
	sync   sync.Once

	mu      sync.RWMutex
	entries []entry // sorted by key, so that equal clusters give equal lists
	bytes   int
	changed time.Time
}

// entry is an object in a store.
type entry struct {
	key  string
	text []byte
}

func newStore() *store { return &store{synced: make(chan struct{})} }

// list returns the list of everything in the store, in the envelope of kind of's lists.
func (s *store) list(of hostcalls.Resource) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	to := make([]byte, 0, s.bytes+len(s.entries)+len(of.APIVersion)+len(of.Kind)+64)
	to = jsontext.AppendString(append(to, `{"apiVersion":`...), of.APIVersion)
	to = jsontext.AppendString(append(to, `,"kind":`...), of.Kind+"List")
	to = append(to, `,"metadata":{},"items":[`...)
	for _, e := range s.entries {
		to = append(separated(to, '['), e.text...)
	}
	return append(to, ']', '}')
}

// size returns the bytes of all objects in the store.
func (s *store) size() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bytes
}

// changedSince reports whether anything was put into the store or taken out of it after an instant.
func (s *store) changedSince(instant time.Time) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changed.After(instant)
}

// Add puts an object into the store, in place of an earlier state of it.
func (s *store) Add(obj any) error {
	o, ok := obj.(*object)
	if !ok {
		return errNotObject
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := entry{o.key(), o.text}
	if i, found := s.find(e.key); found {
		s.bytes -= len(s.entries[i].text)
		s.entries[i] = e
	} else {
		s.entries = slices.Insert(s.entries, i, e)
	}
	s.bytes += len(e.text)
	s.changed = time.Now()
	return nil
}

// Update is Add.
func (s *store) Update(obj any) error { return s.Add(obj) }

// Delete takes an object out of the store.
func (s *store) Delete(obj any) error {
	o, ok := obj.(*object)
	if !ok {
		return errNotObject
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, found := s.find(o.key()); found {
		s.bytes -= len(s.entries[i].text)
		s.entries = slices.Delete(s.entries, i, i+1)
	}
	s.changed = time.Now()
	return nil
}

// Replace puts a complete list in place of everything. The first one makes the store ready to be
// read.
func (s *store) Replace(objs []any, _ string) error {
	entries, size := make([]entry, 0, len(objs)), 0
	for _, obj := range objs {
		o, ok := obj.(*object)
		if !ok {
			return errNotObject
		}
		entries = append(entries, entry{o.key(), o.text})
		size += len(o.text)
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	s.mu.Lock()
	s.entries, s.bytes, s.changed = entries, size, time.Now()
	s.mu.Unlock()
	s.sync.Do(func() { close(s.synced) })
	return nil
}

// Resync has nothing to do.
func (s *store) Resync() error { return nil }

func (s *store) find(key string) (int, bool) {
	return slices.BinarySearchFunc(s.entries, key, func(e entry, key string) int { return strings.Compare(e.key, key) })
}
