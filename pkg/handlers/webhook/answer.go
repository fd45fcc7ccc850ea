package webhook

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

const (
	// maxQuoted is how many bytes of an answer an error has.
	maxQuoted = 256
	// maxDrained is how many bytes of an answer that counts for nothing are read, so that its
	// connection can be used again.
	maxDrained = 64 << 10
)

// answerError is what is wrong with an answer that has come.
type answerError struct{ message string }

func (e *answerError) Error() string { return e.message }

// readBody reads an answer of at most limit bytes, before and after it is decompressed.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	tooLarge := &answerError{fmt.Sprintf("the answer has more than the %d bytes of maxResponse", limit)}
	if resp.ContentLength > limit {
		return nil, tooLarge
	}
	compressed := &io.LimitedReader{R: resp.Body, N: limit + 1}
	plain, err := decompressed(compressed, resp.Header)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(plain, limit+1))
	switch {
	case compressed.N <= 0, int64(len(body)) > limit:
		return nil, tooLarge
	case isCorrupt(err):
		return nil, &answerError{"decompressing the answer: " + err.Error()}
	case err != nil:
		return nil, fmt.Errorf("reading the answer: %w", err)
	default:
		return body, nil
	}
}

// decompressed returns what reads an answer as it was before it was compressed.
func decompressed(body io.Reader, header http.Header) (io.Reader, error) {
	switch encoding := strings.ToLower(header.Get("Content-Encoding")); encoding {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		plain, err := gzip.NewReader(body)
		if isCorrupt(err) {
			return nil, &answerError{"decompressing the answer: " + err.Error()}
		}
		if err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		return plain, nil
	default:
		return nil, &answerError{fmt.Sprintf("decompressing the answer: want gzip, have Content-Encoding %.50q", encoding)}
	}
}

// isCorrupt reports whether an error is about what is compressed, and not about its connection.
func isCorrupt(err error) bool {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	return corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum)
}

// quoteOf returns the beginning of an answer that is an error, for people. What comes behind the
// first part is left where it is.
func quoteOf(resp *http.Response, secrets []string) string {
	part := &io.LimitedReader{R: resp.Body, N: maxDrained}
	plain, err := decompressed(part, resp.Header)
	if err != nil {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(plain, maxDrained)) // What there is before an error is good enough.
	return cutText(strings.TrimSpace(redact(string(text), secrets)))
}

func redact(text string, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, redacted)
	}
	return text
}

// cutText returns at most maxQuoted bytes of a text, in whole characters.
func cutText(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= maxQuoted {
		return text
	}
	cut := maxQuoted
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}
