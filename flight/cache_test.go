package flight

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestCache(t *testing.T) {
	for name, c := range map[string]struct {
		entries int64 // how many of cost 1 there is room for
		use     func(*Cache[string, int])
		want    []string // what is kept then
	}{
		"the one not asked for goes first": {2, func(c *Cache[string, int]) {
			c.Keep("a", 1, 1)
			c.Keep("b", 2, 1)
			c.Find("a")
			c.Keep("c", 3, 1)
		}, []string{"a", "c"}},
		"replaced, not added": {2, func(c *Cache[string, int]) {
			c.Keep("a", 1, 1)
			c.Keep("a", 2, 1)
			c.Keep("b", 2, 1)
		}, []string{"a", "b"}},
		"a large one takes the place of several": {3, func(c *Cache[string, int]) {
			c.Keep("a", 1, 1)
			c.Keep("b", 2, 1)
			c.Keep("c", 3, 3)
		}, []string{"c"}},
		"one too large disturbs nobody": {2, func(c *Cache[string, int]) {
			c.Keep("a", 1, 1)
			c.Keep("b", 2, 3)
		}, []string{"a"}},
		"too large in the place of another": {2, func(c *Cache[string, int]) {
			c.Keep("a", 1, 1)
			c.Keep("a", 2, 3)
		}, nil},
		"no room at all": {0, func(c *Cache[string, int]) { c.Keep("a", 1, 1) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			kept := NewCache[string, int](time.Minute, c.entries)
			c.use(kept)
			var got []string
			for _, key := range []string{"a", "b", "c"} {
				if _, ok := kept.Find(key); ok {
					got = append(got, key)
				}
			}
			if !slices.Equal(got, c.want) || kept.used > kept.limit {
				t.Errorf("kept %v of cost %d, want %v", got, kept.used, c.want)
			}
		})
	}
}

func TestCache_lifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, forgetful := NewCache[string, int](time.Minute, 1<<20), NewCache[string, int](0, 1<<20)
		kept.Keep("a", 1, 1)
		forgetful.Keep("a", 1, 1)
		time.Sleep(time.Minute - time.Second)
		if v, ok := kept.Find("a"); !ok || v != 1 {
			t.Errorf("before its time: %d, %t", v, ok)
		}
		time.Sleep(time.Second)
		if _, ok := kept.Find("a"); ok {
			t.Error("kept beyond its lifetime, which being asked for does not extend")
		}
		if _, ok := forgetful.Find("a"); ok || kept.used != 0 || len(kept.entries) != 0 {
			t.Errorf("kept nonetheless: %t, %s", ok, fmt.Sprint(kept.used, kept.entries))
		}
	})
}
