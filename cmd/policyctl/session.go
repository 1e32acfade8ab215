package main

import (
	"os"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"policy-server/cmd/internal/usage"
	"policy-server/hostcalls"
	exchanges "policy-server/hostcalls/session"
)

const (
	recordFlag = "record-host-capabilities-interactions"
	replayFlag = "replay-host-capabilities-interactions"
)

// sessionFlags say whether the host calls of a run are written down, or answered from what was.
type sessionFlags struct {
	record value
	replay value
}

func (f *sessionFlags) add(flags *pflag.FlagSet) {
	f.record.add(flags, recordFlag, "", "FILE", "write down what the policy asks of its host, and the answers")
	f.replay.add(flags, replayFlag, "", "FILE", "answer from a file what the policy asks of its host; nothing else is asked")
}

// check refuses both flags at once.
func (f *sessionFlags) check() error {
	if f.record.Given && f.replay.Given {
		return usage.Errorf("the argument '--%s <FILE>' cannot be used with '--%s <FILE>'", recordFlag, replayFlag)
	}
	return nil
}

// session stands between a policy's host calls and the capabilities. The zero session lets them
// pass.
type session struct {
	file     string
	recorder *exchanges.Recorder // when they are written down
	replayer *exchanges.Replayer // when they are answered from a file
	log      *zap.Logger
}

// open reads the file to be replayed: one that is missing or no session must not look like a policy
// that failed.
func (f *sessionFlags) open(log *zap.Logger) (session, error) {
	switch {
	case f.record.Given:
		log.Info("host capabilities proxy enabled with record mode")
		return session{file: f.record.Text, recorder: new(exchanges.Recorder), log: log}, nil
	case !f.replay.Given:
		return session{}, nil
	}
	data, err := os.ReadFile(f.replay.Text)
	if err != nil {
		return session{}, saidf("Cannot open host capabilities interactions file %q: %w", f.replay.Text, system(err))
	}
	replayer, err := exchanges.Parse(data)
	if err != nil {
		return session{}, saidf("cannot deserialize contents of %q: %w", f.replay.Text, err)
	}
	log.Info("host capabilities proxy enabled with replay mode")
	return session{file: f.replay.Text, replayer: replayer, log: log}, nil
}

// proxy returns the dispatcher whose calls go through the session.
func (s session) proxy(calls *hostcalls.Dispatcher) *hostcalls.Dispatcher {
	switch {
	case s.recorder != nil:
		return calls.With(s.recorder.Through)
	case s.replayer != nil:
		return calls.With(s.replayer.Through)
	}
	return calls
}

// finish writes what was recorded, or tells what was not asked for. The policy has answered by
// then, so nothing that goes wrong here fails the run.
func (s session) finish() {
	switch {
	case s.replayer != nil && s.replayer.Left() > 0:
		s.log.Warn("Some of the recorded exchanges have not been replayed", zap.Int("exchanges", s.replayer.Left()))
	case s.recorder != nil:
		content, err := s.recorder.Session()
		if err != nil {
			s.log.Error("Cannot record communication between host and policy, something went wrong while capturing the exchange", zap.Error(err))
			return
		}
		if err := os.WriteFile(s.file, content, 0o600); err != nil { // objects of the cluster may be in it
			s.log.Error("Cannot save context aware session to file", zap.String("file", s.file), zap.Error(system(err)))
			return
		}
		s.log.Info("Context aware session saved to file", zap.String("file", s.file))
	}
}
