package sdk

import (
	"strings"
	"sync"
)

// Settings are a policy's settings in the form it works with, T: compiled expressions, sets,
// limits. They are parsed once for as long as the host passes the same bytes; and since the host
// checks the settings before it serves a policy and may keep the guest's memory as it was after
// that, requests usually find them parsed. Several goroutines may use one Settings; T is shared
// among its users and must not be changed by them.
type Settings[T any] struct {
	parse func(Value) (T, error)

	mu     sync.Mutex // guards what follows
	parsed bool
	text   string // what the result below was parsed from
	value  T
	err    error
}

// FromSettings returns Settings that parse makes. What parse reads may be kept: it is given a copy.
func FromSettings[T any](parse func(Value) (T, error)) *Settings[T] {
	return &Settings[T]{parse: parse}
}

// Of returns what parse made, or makes, of settings.
func (s *Settings[T]) Of(settings Value) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.parsed || s.text != settings.text {
		// A copy, because the settings share the payload's memory, and keeping a piece would keep
		// all of it.
		text := strings.Clone(settings.text)
		s.value, s.err = s.parse(Value{text})
		s.text, s.parsed = text, true
	}
	return s.value, s.err
}

// Check returns the error of parse. It is what most policies want for Policy.CheckSettings.
func (s *Settings[T]) Check(settings Value) error {
	_, err := s.Of(settings)
	return err
}
