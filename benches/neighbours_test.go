package benches

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"policy-server/internal/testing/examples"
	"policy-server/internal/testing/guests"
	"policy-server/internal/testing/neighbours"
	"policy-server/policy"
	"policy-server/runtime/turns"
)

// neighboursMemory is what all instances may hold: a quarter of what 64 that fill memory would.
const neighboursMemory = 512 << 20

// BenchmarkNeighbours is what a quick policy, asked over two connections, gets beside clients of
// others: requests a second, the 99th percentile of what one takes, how many of a thousand got no
// answer in time, and the most that guests held.
func BenchmarkNeighbours(b *testing.B) {
	definitions := []policy.Definition{{ID: "quick", Module: guests.File(b, examples.Build(b, "pod-privileged"))}}
	for _, definition := range neighbours.Definitions(b, 2*time.Second) {
		definitions = append(definitions, definition)
	}
	s := neighbours.Serve(b, turns.Config{Memory: neighboursMemory}, definitions...)
	defer s.Close(b)
	b.Run("beside=nobody", func(b *testing.B) { askBeside(b, s, "", 0) })
	for _, kind := range neighbours.Kinds() {
		for _, clients := range []int{1, 2, 8, 64} {
			b.Run(fmt.Sprintf("beside=%s/clients=%d", kind, clients), func(b *testing.B) { askBeside(b, s, kind, clients) })
		}
	}
	b.Run("beside=nobody/again", func(b *testing.B) { askBeside(b, s, "", 0) })
}

// asking is how many connections the quick policy is asked over.
const asking = 2

func askBeside(b *testing.B, s *neighbours.Server, kind string, clients int) {
	defer s.UseProcessors()() // the testing package sets its own number for each benchmark
	body := review(b, 2)
	ctx := b.Context()
	if clients > 0 {
		defer startClients(b, s.URL+"/validate/"+kind+"?timeout=10s", clients)()
		time.Sleep(200 * time.Millisecond) // until they are in the way
	}
	var took [asking][]time.Duration
	var refused [asking]int
	var memory int64
	var quick sync.WaitGroup
	b.ResetTimer()
	for n := range asking {
		quick.Go(func() {
			client := newClient()
			defer client.CloseIdleConnections()
			for range b.N {
				asked := time.Now()
				if status, err := ask(ctx, client, s.URL+"/validate/quick?timeout=10s", body); err != nil || status != http.StatusOK {
					refused[n]++
				}
				took[n] = append(took[n], time.Since(asked))
				if n == 0 {
					memory = max(memory, s.Turns.Stats().Memory)
				}
			}
		})
	}
	quick.Wait()
	b.StopTimer()
	all := slices.Sorted(slices.Values(slices.Concat(took[:]...)))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(1000*float64(refused[0]+refused[1])/float64(len(all)), "refused/1000")
	b.ReportMetric(float64(memory)/(1<<20), "MiB")
}

// newClient returns a client with a connection of its own.
func newClient() *http.Client { return &http.Client{Transport: &http.Transport{}} }

func ask(ctx context.Context, client *http.Client, url string, body []byte) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// The environment by which the test binary is told to be the clients of a neighbour, in a process
// of their own as clients are.
const (
	clientsURL    = "NEIGHBOURS_URL"
	clientsNumber = "NEIGHBOURS_CLIENTS"
)

// TestMain is the tests and benchmarks, unless this process is the clients of a neighbour: they ask
// until their standard input ends.
func TestMain(m *testing.M) {
	url := os.Getenv(clientsURL)
	if url == "" {
		os.Exit(m.Run())
	}
	clients, err := strconv.Atoi(os.Getenv(clientsNumber))
	if err != nil {
		panic(err)
	}
	body, err := os.ReadFile(os.Args[len(os.Args)-1])
	if err != nil {
		panic(err)
	}
	for range clients {
		go func() {
			client := newClient()
			for {
				_, _ = ask(context.Background(), client, url, body)
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startClients has that many clients ask url in a process of their own until stop is called.
func startClients(b *testing.B, url string, clients int) (stop func()) {
	file := filepath.Join(b.TempDir(), "review.json")
	if err := os.WriteFile(file, review(b, 2), 0o600); err != nil {
		b.Fatal(err)
	}
	// With NICE they leave the processors to the server, as clients on other machines do.
	command := exec.Command("nice", "-n", cmp.Or(os.Getenv("NICE"), "0"), os.Args[0], file)
	command.Env = append(os.Environ(), clientsURL+"="+url, clientsNumber+"="+strconv.Itoa(clients))
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	return func() {
		_ = stdin.Close()
		if err := command.Wait(); err != nil {
			b.Error(err)
		}
	}
}
