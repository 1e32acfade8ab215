package policy

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestPending holds that a load which takes its time says every ten seconds what it waits for.
func TestPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zap.InfoLevel)
		p := &pending{log: zap.New(core), began: time.Now(), places: map[ID]*position{}}
		stop := p.report()
		shared := new(position)
		shared.at(StageFetch)
		for i := range 12 {
			p.is(ID(fmt.Sprintf("p%02d", i)), shared)
		}
		p.is("not begun", new(position))
		time.Sleep(15 * time.Second)
		shared.at(StageVerify)
		for i := range 11 {
			p.done(ID(fmt.Sprintf("p%02d", i)))
		}
		time.Sleep(10 * time.Second)
		stop()
		time.Sleep(time.Minute)
		var got []string
		for _, line := range logged.All() {
			got = append(got, fmt.Sprint(line.ContextMap()["waiting_for"], line.ContextMap()["elapsed"]))
		}
		want := []string{
			"[p00: fetch p01: fetch p02: fetch p03: fetch p04: fetch p05: fetch p06: fetch p07: fetch p08: fetch p09: fetch and 2 more] 10s",
			"[p11: verify] 20s",
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}
