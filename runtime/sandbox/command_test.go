package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"policy-server/runtime/sandbox"
)

// openCommand returns a pool of the command wasi_obeys, which was warmed up.
func openCommand(t *testing.T, method sandbox.ResetMethod) *sandbox.Pool {
	t.Helper()
	p, err := compileGuest(t, "wasi_obeys", sandbox.ABI{
		Kind:    sandbox.Command{Args: []string{"policy.wasm", "validate"}},
		Exports: []sandbox.Export{{Name: "_start"}},
	}, 64)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := p.NewPool(sandbox.PoolConfig{Reset: method})
	if err != nil {
		t.Fatal(err)
	}
	_, err = pool.WarmUp(t.Context(), func(ctx context.Context, start sandbox.Starter) (sandbox.Answer, error) {
		return obey(ctx, start, "-")
	})
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// obey has a command run once, and returns what it printed when it exited with code 0.
func obey(ctx context.Context, start sandbox.Starter, request string) (sandbox.Answer, error) {
	var printed bytes.Buffer
	i, err := start(ctx, sandbox.Call{
		Args: []string{"policy.wasm", "validate"}, Stdin: strings.NewReader(request), Stdout: &printed,
	})
	if err != nil {
		return sandbox.Answer{}, err
	}
	defer i.Release()
	_, err = i.Call(ctx, "_start")
	var exited *sandbox.ExitedError
	if errors.As(err, &exited) && exited.Code == 0 {
		err = nil
	}
	return sandbox.Answer{Payload: printed.Bytes()}, err
}

// A command that is held forgets each request, whatever that made of its memory and by whatever
// method that is brought back. Growing, filling and recursing come between.
func TestCommandsForget(t *testing.T) {
	for _, method := range []sandbox.ResetMethod{sandbox.ResetCopy, sandbox.ResetDrop, sandbox.ResetScan} {
		t.Run(string(method), func(t *testing.T) {
			pool := openCommand(t, method)
			const requests = "-gf-rgg-ff-e-gr-f-e"
			for range 20 {
				for _, request := range strings.Split(requests, "") {
					answer, err := obey(t.Context(), pool.Take, request)
					want, exits := `{"accepted":true,"message":"memory 0 global 0 size 0"}`, request == "e"
					var exited *sandbox.ExitedError
					if exits != errors.As(err, &exited) || !exits && (err != nil || string(answer.Payload) != want) {
						t.Fatalf("%s: got %s, %v", request, answer.Payload, err)
					}
				}
			}
			if got := pool.Stats(); got.Started != 2 || got.Resets != 20*uint64(len(requests)) || got.ImageBytes != 8*sandbox.PageSize {
				t.Errorf("got %+v, want one instance that was reset after each request, and a new one before", got)
			}
		})
	}
}
