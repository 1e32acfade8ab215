package oci

import (
	"container/list"
	"time"
)

// cache keeps values for a time and up to a number of bytes; the one that nobody asked for longest goes first. It is
// for one goroutine at a time.
type cache[K comparable, V any] struct {
	lifetime time.Duration // 0: nothing is kept
	limit    int64         // in bytes, the costs of all entries
	used     int64
	entries  map[K]*list.Element
	recent   list.List // of *entry[K, V], the one asked for last in front
}

type entry[K comparable, V any] struct {
	key     K
	value   V
	cost    int64
	expires time.Time
}

// entryCost is what an entry takes beyond its value: key, list element and its place in the map, rounded up.
const entryCost = 512

func newCache[K comparable, V any](lifetime time.Duration, limit int64) *cache[K, V] {
	return &cache[K, V]{lifetime: lifetime, limit: limit, entries: map[K]*list.Element{}}
}

// find returns the value kept under key.
func (c *cache[K, V]) find(key K) (value V, ok bool) {
	element, ok := c.entries[key]
	if !ok {
		return value, false
	}
	kept := element.Value.(*entry[K, V])
	if !time.Now().Before(kept.expires) {
		c.drop(element)
		return value, false
	}
	c.recent.MoveToFront(element)
	return kept.value, true
}

// keep stores value, which takes size bytes, in the place of what is under key. A value that would not fit at all is
// not kept: it would push out everything else and then itself.
func (c *cache[K, V]) keep(key K, value V, size int) {
	if old, ok := c.entries[key]; ok {
		c.drop(old)
	}
	cost := int64(size) + entryCost
	if c.lifetime <= 0 || cost > c.limit {
		return
	}
	c.entries[key] = c.recent.PushFront(&entry[K, V]{key, value, cost, time.Now().Add(c.lifetime)})
	for c.used += cost; c.used > c.limit; {
		c.drop(c.recent.Back())
	}
}

func (c *cache[K, V]) drop(element *list.Element) {
	dropped := c.recent.Remove(element).(*entry[K, V])
	delete(c.entries, dropped.key)
	c.used -= dropped.cost
}
