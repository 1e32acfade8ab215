package logs_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"policy-server/cmd/internal/logs"
)

// TestBuffer holds that all events arrive, whole and in the order in which each goroutine logs.
func TestBuffer(t *testing.T) {
	var out bytes.Buffer
	b := logs.NewBuffer(&out, 1<<20)
	go b.Run(func(dropped int) { t.Errorf("%d events were dropped", dropped) })
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			for i := range 500 {
				fmt.Fprintf(b, "%d %d\n", n, i)
			}
		})
	}
	group.Wait()
	if !b.Close(time.Minute) {
		t.Fatal("it does not end")
	}
	next := map[int]int{}
	for line := range strings.Lines(out.String()) {
		var n, i int
		if _, err := fmt.Sscanf(line, "%d %d\n", &n, &i); err != nil || next[n] != i {
			t.Fatalf("%q, want event %d: %v", line, next[n], err)
		}
		next[n]++
	}
	if len(next) != 8 || next[0] != 500 {
		t.Errorf("got %v", next)
	}
}

// TestBuffer_stalled holds that nobody waits for a reader that has stopped, that what is dropped is
// counted, and that it is said once the reader goes on.
func TestBuffer_stalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe() // which takes nothing until it is read
		b := logs.NewBuffer(writer, 100)
		go b.Run(func(dropped int) { fmt.Fprintf(b, "%d dropped\n", dropped) })
		fmt.Fprint(b, "first\n")
		synctest.Wait() // the writer is stuck with it
		for range 30 {
			fmt.Fprint(b, "123456789\n")
		}
		if b.Close(time.Second) {
			t.Error("it has ended, and nobody has read")
		}
		read := make(chan string)
		go func() {
			var got []byte
			buffer := make([]byte, 1000)
			for !bytes.Contains(got, []byte("dropped")) {
				n, err := reader.Read(buffer)
				if err != nil {
					break
				}
				got = append(got, buffer[:n]...)
			}
			read <- string(got)
		}()
		if got, want := <-read, "first\n"+strings.Repeat("123456789\n", 10)+"20 dropped\n"; got != want {
			t.Errorf("got %q\nwant %q", got, want)
		}
		if !b.Close(time.Second) {
			t.Error("it does not end")
		}
	})
}
