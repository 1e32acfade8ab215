package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"policy-server/internal/testing/examples"
	"policy-server/internal/testing/guests"
	"policy-server/internal/testing/neighbours"
	"policy-server/policy"
	"policy-server/runtime/turns"
)

// TestSoak has 64 connections ask 20 policies at random, of which some loop, recurse, fill memory,
// sleep, wait or run out of memory; some clients leave early, some ask the audit endpoint. Every
// request is answered, quick policies are never refused, and in the end nothing is left. It takes
// five seconds, or what the variable SOAK says ("10m").
func TestSoak(t *testing.T) {
	duration := 5 * time.Second
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	const budget = 256 << 20
	definitions, quick := soakPolicies(t)
	before := goruntime.NumGoroutine()
	s := neighbours.Serve(t, turns.Config{Memory: budget, BegunPerFlow: 16, QueuedPerFlow: 20}, definitions...)
	defer s.UseProcessors()()
	ctx, stop := context.WithTimeout(t.Context(), duration)
	defer stop()
	counts := &soakCounts{}
	var clients sync.WaitGroup
	for n := range 64 {
		random := rand.New(rand.NewPCG(1, uint64(n)))
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				id := definitions[random.IntN(len(definitions))].ID
				soakAsk(t, client, s.URL, id, random, quick[id], counts)
			}
		})
	}
	for ctx.Err() == nil {
		if got := s.Turns.Stats(); got.Memory > budget || got.Running > goruntime.NumCPU() {
			t.Errorf("too much: %+v", got)
		}
		time.Sleep(10 * time.Millisecond)
	}
	clients.Wait()
	t.Logf("%d answers of policies, %d refusals because of too much to do, %d clients left; %+v",
		counts.answered.Load(), counts.busy.Load(), counts.left.Load(), s.Turns.Stats())
	if counts.answered.Load() == 0 || counts.busy.Load() == 0 || counts.left.Load() == 0 {
		t.Error("not everything that was to happen has happened")
	}
	waitFor(t, "evaluations end", func() bool {
		got := s.Turns.Stats()
		return got.Begun+got.Running+got.Hungry+got.Calling+got.Queued == 0 && got.Memory == 0
	})
	s.Close(t)
	waitFor(t, "goroutines end", func() bool { return goruntime.NumGoroutine() <= before })
}

type soakCounts struct{ answered, busy, left atomic.Int64 }

// soakPolicies returns 20 policies, and which of them are quick.
func soakPolicies(t *testing.T) (definitions []policy.Definition, quick map[policy.ID]bool) {
	quick = map[policy.ID]bool{}
	bad := neighbours.Definitions(t, 500*time.Millisecond)
	bad["hungry"] = policy.Definition{ID: "hungry", Module: guests.File(t, guests.Module(t, "traps_without_memory"))}
	for _, definition := range bad {
		definitions = append(definitions, definition)
	}
	modules := []string{guests.File(t, guests.Module(t, "accepts")), guests.File(t, examples.Build(t, "pod-privileged"))}
	for n := len(definitions); n < 20; n++ {
		id := policy.ID(fmt.Sprintf("quick-%d", n))
		quick[id] = true
		definitions = append(definitions, policy.Definition{ID: id, Module: modules[n%len(modules)]})
	}
	return definitions, quick
}

const soakReview = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE",` +
	`"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},` +
	`"userInfo":{"username":"u"},"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`

// soakAsk asks once, and holds the answer to what it may be.
func soakAsk(t *testing.T, client *http.Client, url string, id policy.ID, random *rand.Rand, quick bool, counts *soakCounts) {
	ctx := t.Context()
	leaves := random.IntN(20) == 0
	if leaves {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(20))*time.Millisecond)
		defer cancel()
	}
	endpoint, timeout := "validate", "30s"
	if !quick && random.IntN(4) == 0 {
		endpoint = "audit"
	}
	if !quick && random.IntN(4) == 0 {
		timeout = "100ms"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/%s/%s?timeout=%s", url, endpoint, id, timeout), strings.NewReader(soakReview))
	if err != nil {
		t.Error(err)
		return
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err == nil {
		defer response.Body.Close()
		var body []byte
		if body, err = io.ReadAll(response.Body); err == nil {
			soakHold(t, id, quick, response.StatusCode, body, counts)
			return
		}
	}
	if !leaves {
		t.Errorf("%s: %v", id, err)
	}
	counts.left.Add(1)
}

func soakHold(t *testing.T, id policy.ID, quick bool, status int, body []byte, counts *soakCounts) {
	switch {
	case status == http.StatusOK && (bytes.Contains(body, []byte(`"uid":"u"`)) && json.Valid(body)):
		counts.answered.Add(1)
		if quick && !bytes.Contains(body, []byte(`"allowed":true`)) {
			t.Errorf("%s answers %s", id, body)
		}
	case status == http.StatusServiceUnavailable && !quick && bytes.Contains(body, []byte(id)):
		counts.busy.Add(1)
	default:
		t.Errorf("%s: %d %s", id, status, body)
	}
}

func waitFor(t *testing.T, what string, over func() bool) {
	t.Helper()
	for range 500 {
		if over() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 1<<16)
	t.Errorf("after 5 s, %s not:\n%s", what, stacks[:goruntime.Stack(stacks, true)])
}
