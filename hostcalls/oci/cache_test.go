package oci

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestCache(t *testing.T) {
	for name, c := range map[string]struct {
		entries int64 // for how many of size 0 there is room
		use     func(*cache[string, int])
		want    []string // what is kept then
	}{
		"the one not asked for goes first": {2, func(c *cache[string, int]) {
			c.keep("a", 1, 0)
			c.keep("b", 2, 0)
			c.find("a")
			c.keep("c", 3, 0)
		}, []string{"a", "c"}},
		"replaced, not added": {2, func(c *cache[string, int]) {
			c.keep("a", 1, 0)
			c.keep("a", 2, 0)
			c.keep("b", 2, 0)
		}, []string{"a", "b"}},
		"a large one takes the place of several": {3, func(c *cache[string, int]) {
			c.keep("a", 1, 0)
			c.keep("b", 2, 0)
			c.keep("c", 3, 2*entryCost)
		}, []string{"c"}},
		"one too large disturbs nobody": {2, func(c *cache[string, int]) {
			c.keep("a", 1, 0)
			c.keep("b", 2, 2*entryCost)
		}, []string{"a"}},
		"too large in the place of another": {2, func(c *cache[string, int]) {
			c.keep("a", 1, 0)
			c.keep("a", 2, 2*entryCost)
		}, nil},
		"no room at all": {0, func(c *cache[string, int]) { c.keep("a", 1, 0) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			kept := newCache[string, int](time.Minute, c.entries*entryCost)
			c.use(kept)
			var got []string
			for _, key := range []string{"a", "b", "c"} {
				if _, ok := kept.find(key); ok {
					got = append(got, key)
				}
			}
			if !slices.Equal(got, c.want) || kept.used > kept.limit {
				t.Errorf("kept %v of %d bytes, want %v", got, kept.used, c.want)
			}
		})
	}
}

func TestCache_lifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, forgetful := newCache[string, int](time.Minute, 1<<20), newCache[string, int](0, 1<<20)
		kept.keep("a", 1, 0)
		forgetful.keep("a", 1, 0)
		time.Sleep(time.Minute - time.Second)
		if v, ok := kept.find("a"); !ok || v != 1 {
			t.Errorf("before its time: %d, %t", v, ok)
		}
		time.Sleep(time.Second)
		if _, ok := kept.find("a"); ok {
			t.Error("kept beyond its lifetime, which being asked for does not extend")
		}
		if _, ok := forgetful.find("a"); ok || kept.used != 0 || len(kept.entries) != 0 {
			t.Errorf("kept nonetheless: %t, %s", ok, fmt.Sprint(kept.used, kept.entries))
		}
	})
}
