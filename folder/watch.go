package folder

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watch notices when files may have become others. It watches the folders they are in: programs
// replace a file as often as they write it, and Kubernetes replaces the target of a symbolic link
// beside it.
type Watch struct{ events *fsnotify.Watcher }

const (
	// settle is how long nothing must happen before a change counts: files that belong together are
	// written one after the other. A folder in which something happens all the time is looked at
	// every mostUnsettled.
	settle        = 200 * time.Millisecond
	mostUnsettled = 2 * time.Second

	// lookAgain is how often files are looked at without an event: not every file system tells.
	lookAgain = 30 * time.Second
)

// NewWatch returns a watch over files. The caller runs it, which closes it.
func NewWatch(files ...string) (*Watch, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch files: %w", err)
	}
	for _, file := range files {
		if err := events.Add(filepath.Dir(file)); err != nil {
			_ = events.Close() // the first error is the one that tells
			return nil, fmt.Errorf("cannot watch %s: %w", file, err)
		}
	}
	return &Watch{events}, nil
}

// Run calls changed whenever one of the files may have become another one, and now and then
// besides, until ctx ends. What has really changed is for changed to find out.
func (w *Watch) Run(ctx context.Context, changed func()) {
	defer w.events.Close()
	settled := time.NewTimer(lookAgain)
	defer settled.Stop()
	var unsettled time.Time // since when, unless it is zero
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.events.Errors: // events were lost: look
			settled.Reset(settle)
		case <-w.events.Events:
			if unsettled.IsZero() {
				unsettled = time.Now()
			}
			settled.Reset(min(settle, max(0, mostUnsettled-time.Since(unsettled))))
		case <-settled.C:
			unsettled = time.Time{}
			changed()
			settled.Reset(lookAgain)
		}
	}
}
