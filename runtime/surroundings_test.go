package runtime_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"policy-server/runtime"
)

// TestSurroundings holds what a waPC guest finds around it: real clocks and randomness, and nothing
// else.
func TestSurroundings(t *testing.T) {
	type surroundings struct {
		Wall, Monotonic        int64
		Random                 uint64
		Args, Environ, Prestat uint32
		Stdin                  uint32
	}
	const errnoBadf = 8
	m := compile(t, open(t, runtime.Config{}), "looks_around")
	var seen [2]surroundings
	for i := range seen {
		answer, err := m.Call(t.Context(), ask(runtime.Validate, []byte("{}")), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := binary.Read(bytes.NewReader(answer.Payload), binary.LittleEndian, &seen[i]); err != nil {
			t.Fatal(err)
		}
		got := seen[i]
		if age := time.Since(time.Unix(0, got.Wall)).Abs(); age > time.Minute {
			t.Errorf("wall clock is off by %s", age)
		}
		if got.Args != 0 || got.Environ != 0 || got.Prestat != errnoBadf || got.Stdin != 0 {
			t.Errorf("got %+v, want no arguments, no environment, no directory and no stdin", got)
		}
	}
	if seen[0].Random == seen[1].Random {
		t.Errorf("random bytes are %#x both times", seen[0].Random)
	}
	if seen[0].Monotonic >= seen[1].Monotonic {
		t.Errorf("monotonic clock went from %d to %d", seen[0].Monotonic, seen[1].Monotonic)
	}
}
