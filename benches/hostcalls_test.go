package benches

import (
	"context"
	"testing"

	"policy-server/internal/testing/guests"
	"policy-server/runtime"
)

// BenchmarkHostCall is the way of one host call out of a guest and back: a tiny guest makes a
// thousand of them, to a host that answers at once. The time is that of one.
func BenchmarkHostCall(b *testing.B) {
	const calls = 1000 // what the guest makes of each request
	engine, err := runtime.Open(b.Context(), runtime.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = engine.Close(context.Background()) }()
	module, err := engine.Compile(b.Context(), guests.Bare(b, "calls_host_often"), runtime.WaPC)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = module.Close(context.Background()) }()
	guest, err := module.NewGuest(runtime.GuestConfig{})
	if err != nil {
		b.Fatal(err)
	}
	made := 0
	host := func(_ context.Context, _, _ string, payload []byte) ([]byte, error) { made++; return payload, nil }
	call := func() {
		if answer, err := guest.Call(b.Context(), runtime.Question{Operation: runtime.Validate, Payload: []byte("{}")}, host); err != nil || string(answer.Payload) != `{"accepted":true}` {
			b.Fatalf("answer %q, %v", answer.Payload, err)
		}
	}
	if call(); made != calls {
		b.Fatalf("%d host calls, expected %d", made, calls)
	}
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/hostcall")
}
