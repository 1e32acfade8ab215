package sandbox_test

import (
	"fmt"
	"testing"
)

// BenchmarkReset is what it costs to take a clean instance, to write to some of its memory at
// random, and to bring it back: by method, size of the image and number of writes, each most likely
// to a page of its own. It is what the sizes at which methods take over are chosen by.
func BenchmarkReset(b *testing.B) {
	p := compileScribbles(b)
	for _, pages := range []int{1, 2, 4, 8, 16, 48, 256} {
		for _, writes := range []int{4, 32, 256} {
			for _, method := range methods[1:] {
				b.Run(fmt.Sprintf("image=%dKiB/writes=%d/method=%s", pages*64, writes, method), func(b *testing.B) {
					pool := newPool(b, p, method, pages)
					for b.Loop() {
						if _, err := call(b.Context(), pool.Take, scribble(writes)); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
