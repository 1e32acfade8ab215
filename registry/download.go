package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// download reads one manifest or module whole, over several requests when its connection breaks:
// the next one asks for what is missing. What the pieces are worth is decided by who has all of
// them: a layer's by its digest.
type download struct {
	// open answers with the status 200 or, if the header asks for a range, 206 or 416.
	open    func(ctx context.Context, header http.Header) (*http.Response, error)
	retries Retries
	what    string // "manifest" or "module"
	limit   int64  // bytes at most; more than these and one are never read
	size    int64  // in bytes; -1 while unknown

	progress func(done, total int64) // nil: nobody is told

	// addressed says that one name stands for one content. Otherwise a strong entity tag has to, or
	// nothing is resumed: two halves of two modules make none.
	addressed bool
	tag       string

	content  bytes.Buffer
	noRanges bool // the server cannot be asked for a part
}

// cutOffError reports a body that ended before its end.
type cutOffError struct {
	after int64 // in bytes
	err   error
}

func (e *cutOffError) Error() string {
	return fmt.Sprintf("the connection was cut off after %d bytes: %v", e.after, e.err)
}

func (e *cutOffError) Unwrap() error { return e.err }

// read returns the content. It may be other than was promised; addressed content that is longer
// than the limit ends a byte behind it, other content is a *TooLargeError then.
func (d *download) read(ctx context.Context) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		err := d.readOn(ctx)
		if err == nil && !d.addressed && int64(d.content.Len()) > d.limit {
			err = &TooLargeError{What: d.what, Limit: d.limit}
		}
		if err == nil {
			return d.content.Bytes(), nil
		}
		var cut *cutOffError
		switch {
		case !errors.As(err, &cut), !d.retries.pause(ctx, attempt, 0) && ctx.Err() == nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
	}
}

// readOn makes one request for what is missing. The error is a *cutOffError when another request
// may bring more.
func (d *download) readOn(ctx context.Context) error {
	if d.noRanges || (!d.addressed && d.tag == "") {
		d.content.Reset()
	}
	from := int64(d.content.Len())
	resp, err := d.open(ctx, d.rangeFrom(from))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		d.begin(resp)
	case !d.continues(resp, from):
		d.noRanges = true
		return &cutOffError{after: from, err: fmt.Errorf("the server sent something else than the rest of it: status %d", resp.StatusCode)}
	}
	if d.size > d.limit {
		return &TooLargeError{What: d.what, Limit: d.limit}
	}
	return d.append(ctx, resp)
}

// rangeFrom asks for the content from that byte on.
func (d *download) rangeFrom(from int64) http.Header {
	header := http.Header{}
	if from == 0 {
		return header
	}
	// Some registries refuse a range without end.
	last := ""
	if d.size > 0 {
		last = strconv.FormatInt(d.size-1, 10)
	}
	header.Set("Range", fmt.Sprintf("bytes=%d-%s", from, last))
	if !d.addressed {
		header.Set("If-Range", d.tag)
	}
	return header
}

// statusesFor returns what a server may answer to a request with the header rangeFrom gave.
func statusesFor(header http.Header) []int {
	if header.Get("Range") == "" {
		return []int{http.StatusOK}
	}
	return []int{http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable}
}

// begin takes resp as the whole content, whatever was read before.
func (d *download) begin(resp *http.Response) {
	d.content.Reset()
	if d.addressed {
		return
	}
	d.size = resp.ContentLength
	d.tag = ""
	if tag := resp.Header.Get("ETag"); strings.HasPrefix(tag, `"`) { // W/"…" promises equal meaning, not equal bytes
		d.tag = tag
	}
}

// continues reports whether resp is what follows the first bytes, of the same content as they are.
func (d *download) continues(resp *http.Response, from int64) bool {
	first, _, total, err := parseContentRange(resp.Header.Get("Content-Range"))
	switch {
	case resp.StatusCode != http.StatusPartialContent, err != nil, first != from:
		return false
	case total >= 0 && d.size >= 0 && total != d.size:
		return false
	}
	tag := resp.Header.Get("ETag")
	return d.addressed || tag == "" || tag == d.tag
}

// append reads the body of resp to its end, which it must show to be one, or one byte beyond the
// limit.
func (d *download) append(ctx context.Context, resp *http.Response) error {
	before := int64(d.content.Len())
	var body io.Reader = resp.Body
	if d.progress != nil {
		body = &observed{Reader: resp.Body, done: before, total: d.size, progress: d.progress}
	}
	n, err := d.content.ReadFrom(io.LimitReader(body, d.limit+1-before))
	var stalled *StalledError
	var large *TooLargeError
	switch {
	case err != nil && (ctx.Err() != nil || (n == 0 && errors.As(err, &stalled)) || errors.As(err, &large)):
		return err
	case err == nil && (d.size < 0 || before+n >= d.size):
		return nil
	case d.addressed && before+n == d.size:
		return nil // whatever there was behind it
	case err == nil && resp.StatusCode == http.StatusOK && resp.ContentLength >= 0:
		return nil // shorter than it should be, but all there is
	case err == nil:
		err = io.ErrUnexpectedEOF
	}
	return &cutOffError{after: before + n, err: err}
}

// parseContentRange reads the header of an answer with a part: bytes FIRST-LAST/TOTAL, by RFC 9110,
// section 14.4. TOTAL may be "*", which gives -1.
func parseContentRange(text string) (first, last, total int64, err error) {
	malformed := fmt.Errorf("malformed Content-Range %q, expected bytes FIRST-LAST/TOTAL", text)
	unit, rest, _ := strings.Cut(text, " ")
	span, of, found := strings.Cut(rest, "/")
	from, to, ranged := strings.Cut(span, "-")
	if !strings.EqualFold(unit, "bytes") || !found || !ranged {
		return 0, 0, 0, malformed
	}
	numbers := []string{from, to, of}
	if of == "*" {
		numbers, total = numbers[:2], -1
	}
	for i, into := range []*int64{&first, &last, &total}[:len(numbers)] {
		n, err := strconv.ParseUint(numbers[i], 10, 63)
		if err != nil {
			return 0, 0, 0, malformed
		}
		*into = int64(n)
	}
	if last < first || (total >= 0 && last >= total) {
		return 0, 0, 0, malformed
	}
	return first, last, total, nil
}
