package flight

import (
	"container/list"
	"time"
)

// Cache keeps values for a time and up to a total cost; the one that nobody asked for longest goes
// first. The caller says what an entry costs, in bytes for instance. It is for one goroutine at a
// time.
type Cache[K comparable, V any] struct {
	lifetime time.Duration
	limit    int64
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

// NewCache returns an empty cache of values that live that long, 0 for not at all, and cost at most
// limit together.
func NewCache[K comparable, V any](lifetime time.Duration, limit int64) *Cache[K, V] {
	return &Cache[K, V]{lifetime: lifetime, limit: limit, entries: map[K]*list.Element{}}
}

// Find returns the value kept under key.
func (c *Cache[K, V]) Find(key K) (value V, ok bool) {
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

// Keep stores value in the place of what is under key. A value that would not fit at all is not
// kept: it would push out everything else and then itself.
func (c *Cache[K, V]) Keep(key K, value V, cost int64) {
	c.Forget(key)
	if c.lifetime <= 0 || cost > c.limit {
		return
	}
	now := time.Now()
	c.entries[key] = c.recent.PushFront(&entry[K, V]{key, value, cost, now.Add(c.lifetime)})
	c.used += cost
	for last := c.recent.Back(); c.used > c.limit || !now.Before(last.Value.(*entry[K, V]).expires); last = c.recent.Back() {
		c.drop(last)
	}
}

// Forget drops what is under key.
func (c *Cache[K, V]) Forget(key K) {
	if element, ok := c.entries[key]; ok {
		c.drop(element)
	}
}

func (c *Cache[K, V]) drop(element *list.Element) {
	dropped := c.recent.Remove(element).(*entry[K, V])
	delete(c.entries, dropped.key)
	c.used -= dropped.cost
}
