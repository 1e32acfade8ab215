package sandbox

import (
	"bytes"
	"testing"
	"time"
)

// TestHeapStore_large holds that a memory which becomes large has what it had, is zero beyond what
// was written, and returns to its image, whatever was written in between.
func TestHeapStore_large(t *testing.T) {
	const large = maxScratch + 3*PageSize
	image := bytes.Repeat([]byte("image!"), PageSize)[:2*PageSize]
	s := &heapStore{image: image, limit: 2 * large}
	b := s.grow(PageSize)
	copy(b, "before")
	for round := range 3 {
		b = s.grow(large + uint64(round)*PageSize)
		if round == 0 && !bytes.HasPrefix(b, []byte("before")) || round > 0 && !bytes.HasPrefix(b, image) {
			t.Fatalf("round %d: it begins with %q", round, b[:8])
		}
		beyond := PageSize
		if round > 0 {
			beyond = len(image)
		}
		if !isZero(b[beyond:]) {
			t.Errorf("round %d: not all is zero beyond what was there", round)
		}
		for i := range b {
			b[i] = 0xff
		}
		if grown := s.grow(2 * large); !isZero(grown[len(b):]) || grown[0] != 0xff {
			t.Errorf("round %d: growing on: the beginning is %x", round, grown[0])
		}
		again, err := s.rewind()
		if err != nil || !bytes.Equal(again, image) {
			t.Fatalf("round %d: it returned to something else: %v", round, err)
		}
		if own := s.own(); s.isLarge() && own > int64(len(image)+keptSpare) {
			t.Errorf("round %d: %d bytes are kept", round, own)
		}
	}
	s.free()
	s.free()
}

// TestIdleTime holds that what an instance holds bounds how long it waits.
func TestIdleTime(t *testing.T) {
	for _, c := range []struct {
		idle  time.Duration
		bytes int64
		want  time.Duration
	}{
		{time.Minute, 0, time.Minute},
		{time.Minute, 4 << 20, time.Minute},
		{time.Minute, 16 << 20, 15 * time.Second},
		{time.Minute, 128 << 20, 1875 * time.Millisecond},
		{time.Minute, 4 << 30, time.Second},
		{time.Millisecond, 4 << 30, time.Millisecond},
		{time.Hour, 128 << 20, 112500 * time.Millisecond},
	} {
		p := &Pool{cfg: PoolConfig{Idle: c.idle}}
		if got := p.idleTime(c.bytes); got != c.want {
			t.Errorf("%s for %d bytes: %s, want %s", c.idle, c.bytes, got, c.want)
		}
	}
}
