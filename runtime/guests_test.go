package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"policy-server/runtime"
)

// testLimits are smaller than the defaults where a guest is meant to reach a limit soon.
var testLimits = runtime.Config{MemoryLimit: 32 << 20}

func open(t testing.TB, cfg runtime.Config) *runtime.Engine {
	t.Helper()
	e, err := runtime.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func readGuest(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// protocolOf tells a test guest's protocol by its name.
func protocolOf(guest string) runtime.Protocol {
	if strings.HasPrefix(guest, "wasi_") {
		return runtime.WASI
	}
	return runtime.WaPC
}

func compile(t testing.TB, e *runtime.Engine, guest string) *runtime.Module {
	t.Helper()
	m, err := e.Compile(t.Context(), readGuest(t, guest), protocolOf(guest))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newGuest(t testing.TB, m *runtime.Module, cfg runtime.GuestConfig) *runtime.Guest {
	t.Helper()
	g, err := m.NewGuest(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return g
}

func ask(op runtime.Operation, payload []byte) runtime.Question {
	return runtime.Question{Operation: op, Payload: payload}
}

// warmUp runs a step that comes to an end.
func warmUp(t testing.TB, g *runtime.Guest, op runtime.Operation, payload string) string {
	t.Helper()
	return warmUpWithin(t, time.Minute, g, op, payload)
}

// warmUpWithin runs a step that may come to nothing: guests that never end do so here too.
func warmUpWithin(t testing.TB, limit time.Duration, g *runtime.Guest, op runtime.Operation, payload string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return describe(g.WarmUp(ctx, ask(op, []byte(payload))))
}

// echoHost offers the capability echo: say answers with what it got, shout fails with it.
func echoHost(_ context.Context, namespace, operation string, payload []byte) ([]byte, error) {
	if namespace == "echo" && operation == "say" {
		return payload, nil
	}
	return nil, fmt.Errorf("unknown capability: %s/%s", namespace, operation)
}

// describe renders an outcome in one line, so that tables can spell it. Stacks are left out.
func describe(answer runtime.Answer, err error) string {
	var (
		compile     *runtime.CompileError
		start       *runtime.StartError
		call        *runtime.CallError
		exit        *runtime.ExitError
		interrupted *runtime.InterruptedError
	)
	switch {
	case err == nil:
		return fmt.Sprintf("answer %s printed %q", answer.Payload, answer.Printed)
	case errors.As(err, &compile):
		return "compile: " + compile.Reason
	case errors.As(err, &start):
		return fmt.Sprintf("start: %s printed %q", start.Reason, start.Printed)
	case errors.As(err, &call):
		return fmt.Sprintf("call: %s printed %q", call.Reason, call.Printed)
	case errors.As(err, &exit):
		return fmt.Sprintf("exit: code %d trap %q stderr %q", exit.Code, exit.Trap, exit.Stderr)
	case errors.As(err, &interrupted):
		return fmt.Sprintf("interrupted during %s: %v printed %q", interrupted.During, interrupted.Err, interrupted.Printed)
	}
	return "error: " + err.Error()
}
