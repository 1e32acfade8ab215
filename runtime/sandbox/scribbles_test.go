package sandbox_test

import (
	"context"
	"encoding/binary"
	"testing"

	"policy-server/runtime/sandbox"
)

// request is what the guest scribbles understands: what to do, how often to write, and how far to
// grow.
type request [3]uint32

func layOut(pages int) request      { return request{0, uint32(pages), 0} }
func hash(writes, grow int) request { return request{1, uint32(writes), uint32(grow)} }
func scribble(writes int) request   { return request{2, uint32(writes), 0} }

// exchange is one call's request and response.
type exchange struct {
	request  request
	response uint64
}

// abi is as much of waPC as scribbles needs.
func abi() sandbox.ABI {
	exchangeOf := func(i *sandbox.Instance) *exchange { return i.Session().(*exchange) }
	return sandbox.ABI{
		Kind:    sandbox.Library{},
		Exports: []sandbox.Export{{Name: "__guest_call", Params: 2, Results: 1}},
		Hosts: []sandbox.HostModule{{Name: "wapc", Functions: []sandbox.HostFunction{
			{Name: "__guest_request", Params: 2, Call: func(i *sandbox.Instance, stack []uint64) {
				var b [12]byte
				for i, n := range exchangeOf(i).request {
					binary.LittleEndian.PutUint32(b[4*i:], n)
				}
				i.Memory().Write(uint32(stack[1]), b[:])
			}},
			{Name: "__guest_response", Params: 2, Call: func(i *sandbox.Instance, stack []uint64) {
				exchangeOf(i).response = binary.LittleEndian.Uint64(i.Memory().Read(uint32(stack[0]), uint32(stack[1])))
			}},
		}}},
	}
}

// compileScribbles compiles the guest with room for 64 MiB of memory.
func compileScribbles(t testing.TB) *sandbox.Program {
	t.Helper()
	p, err := compileGuest(t, "scribbles", abi(), 1024)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newPool returns a pool whose image has the given size.
func newPool(t testing.TB, p *sandbox.Program, method sandbox.ResetMethod, pages int) *sandbox.Pool {
	t.Helper()
	pool, err := p.NewPool(sandbox.PoolConfig{Reset: method})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	_, err = pool.WarmUp(t.Context(), func(ctx context.Context, start sandbox.Starter) (sandbox.Answer, error) {
		_, err := call(ctx, start, layOut(pages))
		return sandbox.Answer{}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := pool.Stats(); got.ImageBytes != pages*sandbox.PageSize {
		t.Fatalf("image of %d bytes; want %d pages: %+v", got.ImageBytes, pages, got)
	}
	return pool
}

// call makes requests one after another of the same instance, and returns the last one's response.
func call(ctx context.Context, start sandbox.Starter, requests ...request) (uint64, error) {
	x := &exchange{}
	i, err := start(ctx, sandbox.Call{Session: x})
	if err != nil {
		return 0, err
	}
	defer i.Release()
	for _, x.request = range requests {
		if _, err := i.Call(ctx, "__guest_call", uint64(len("validate")), 12); err != nil {
			return 0, err
		}
	}
	return x.response, nil
}
