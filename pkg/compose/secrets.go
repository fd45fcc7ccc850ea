package compose

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"

	"kooperd.dev/kooperd/pkg/handlers"
)

const (
	// leastSecret is from how many bytes on a text is a secret: shorter ones are everywhere.
	leastSecret = 6
	// redacted stands where a secret was.
	redacted = "[REDACTED]"
)

// redactor knows what a pass has read from Secrets. All texts that leave the pass go through clean:
// conditions, events, errors and log lines, whoever has made them. What is secret is found out when
// there is a text to clean. It is safe for concurrent use.
type redactor struct {
	mu      sync.Mutex
	sources []func() ([]byte, error) // JSON of objects of that kind
	read    int                      // how many of them are among texts
	texts   []string                 // longest first
}

// add adds an object, if it is a Secret.
func (s *redactor) add(object handlers.Object) {
	if object != nil && object.GroupVersionKind().GroupKind() == ofSecrets {
		s.addSource(object.JSON)
	}
}

// addAll adds objects of one kind.
func (s *redactor) addAll(objects []handlers.Object) {
	if len(objects) == 0 || objects[0].GroupVersionKind().GroupKind() != ofSecrets {
		return
	}
	for _, object := range objects {
		s.add(object)
	}
}

// addDesired adds an object as the composer wants it.
func (s *redactor) addDesired(desired runtime.Object) {
	if desired == nil {
		return
	}
	// A struct of Kubernetes itself may leave out its kind.
	kind := desired.GetObjectKind().GroupVersionKind().Kind
	if kind == ofSecrets.Kind || kind == "" && strings.HasSuffix(fmt.Sprintf("%T", desired), "v1.Secret") {
		s.addSource(func() ([]byte, error) { return json.Marshal(desired) })
	}
}

func (s *redactor) addSource(source func() ([]byte, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources = append(s.sources, source)
}

// all returns what is secret.
func (s *redactor) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read == len(s.sources) {
		return s.texts
	}
	for ; s.read < len(s.sources); s.read++ {
		text, err := s.sources[s.read]()
		if err != nil {
			continue // It was not read, then.
		}
		var secret struct {
			Data       map[string]string `json:"data"`
			StringData map[string]string `json:"stringData"`
		}
		if json.Unmarshal(text, &secret) != nil {
			continue
		}
		for _, encoded := range secret.Data {
			s.texts = append(s.texts, encoded)
			if decoded, err := base64.StdEncoding.DecodeString(encoded); err == nil {
				s.texts = appendForms(s.texts, string(decoded))
			}
		}
		for _, value := range secret.StringData {
			s.texts = appendForms(s.texts, value)
		}
	}
	s.texts = slices.DeleteFunc(s.texts, func(text string) bool { return len(text) < leastSecret })
	slices.SortFunc(s.texts, func(a, b string) int {
		if order := cmp.Compare(len(b), len(a)); order != 0 {
			return order
		}
		return strings.Compare(a, b)
	})
	s.texts = slices.Compact(s.texts)
	return s.texts
}

// appendForms appends the forms in which a value is quoted: as it is, without the space around it,
// escaped, in base64, and each line of it by itself.
func appendForms(texts []string, value string) []string {
	forms := []string{value, strings.TrimSpace(value)}
	for line := range strings.Lines(value) {
		forms = append(forms, strings.TrimSpace(line))
	}
	for _, form := range forms {
		if len(form) < leastSecret {
			continue
		}
		encoded := base64.StdEncoding.EncodeToString([]byte(form))
		texts = append(texts, form, encoded, strings.TrimRight(encoded, "="), inner(strconv.Quote(form)))
		if text, err := json.Marshal(form); err == nil {
			texts = append(texts, inner(string(text)))
		}
	}
	return texts
}

// inner is a quoted text without the quotes.
func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

// clean returns a text without what is secret.
func (s *redactor) clean(text string) string {
	if s == nil || len(text) < leastSecret {
		return text
	}
	type span struct{ from, to int }
	var spans []span
	for _, secret := range s.all() {
		for from := 0; len(secret) <= len(text)-from; {
			i := strings.Index(text[from:], secret)
			if i < 0 {
				break
			}
			spans = append(spans, span{from + i, from + i + len(secret)})
			from += i + 1
		}
		if n := cutOff(text, secret); n > 0 {
			end := len(strings.TrimRight(text, cutMarks))
			spans = append(spans, span{end - n, end})
		}
	}
	if len(spans) == 0 {
		return text
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	at := 0
	for i := 0; i < len(spans); {
		from, to := spans[i].from, spans[i].to
		for i++; i < len(spans) && spans[i].from <= to; i++ {
			to = max(to, spans[i].to)
		}
		b.WriteString(text[at:from])
		b.WriteString(redacted)
		at = to
	}
	b.WriteString(text[at:])
	return b.String()
}

// cutMarks may stand behind a text that was cut off.
const cutMarks = ".…\"' "

// cutOff returns with how many bytes of a secret a text ends that was cut off in it; 0 for none.
func cutOff(text, secret string) int {
	text = strings.TrimRight(text, cutMarks)
	for n := min(len(text), len(secret)-1); n >= leastSecret; n-- {
		if text[len(text)-n:] == secret[:n] {
			return n
		}
	}
	return 0
}

// cleanConditions returns conditions whose texts have nothing secret in them: those that a composer
// gives, and those of kooperd.
func (s *redactor) cleanConditions(given []any, own []condition) ([]any, []condition) {
	own, given = slices.Clone(own), slices.Clone(given)
	for i := range own {
		own[i].message = s.clean(own[i].message)
	}
	for i, item := range given {
		fields, ok := item.(map[string]any)
		if !ok {
			continue
		}
		fields = maps.Clone(fields)
		for name, value := range fields {
			if text, ok := value.(string); ok {
				fields[name] = s.clean(text)
			}
		}
		if reason, _ := fields["reason"].(string); strings.Contains(reason, redacted) {
			fields["reason"] = "Redacted" // What stands for a secret elsewhere is no reason.
		}
		given[i] = fields
	}
	return given, own
}

// cleanError is an error whose text was cleaned.
type cleanError struct {
	text string
	err  error
}

func (e *cleanError) Error() string { return e.text }
func (e *cleanError) Unwrap() error { return e.err }

// cleanError returns an error whose text has nothing secret in it.
func (s *redactor) cleanError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if cleaned := s.clean(text); cleaned != text {
		return &cleanError{text: cleaned, err: err}
	}
	return err
}

// inContext returns ctx with a logger whose lines have nothing secret in them.
func (s *redactor) inContext(ctx context.Context) context.Context {
	logger, err := logr.FromContext(ctx)
	if err != nil || s.isEmpty() {
		return ctx
	}
	return logr.NewContext(ctx, s.cleanLogger(logger))
}

// isEmpty reports whether nothing was read from Secrets.
func (s *redactor) isEmpty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sources) == 0
}

// panicAgain goes on with a panic that was recovered, without what is secret. A nil value is none.
func (s *redactor) panicAgain(value any) {
	if value == nil {
		return
	}
	text := fmt.Sprint(value)
	if cleaned := s.clean(text); cleaned != text {
		value = cleaned
	}
	panic(value)
}

// cleanSink is the sink of a logger that code of a composer logs by.
type cleanSink struct {
	logr.LogSink
	secrets *redactor
}

// cleanLogger returns a logger whose lines have nothing secret in them.
func (s *redactor) cleanLogger(logger logr.Logger) logr.Logger {
	sink := logger.GetSink()
	if sink == nil {
		return logger
	}
	return logger.WithSink(&cleanSink{LogSink: sink, secrets: s})
}

// Info implements logr.LogSink, and so do the others.
func (c *cleanSink) Info(level int, msg string, keysAndValues ...any) {
	c.LogSink.Info(level, c.secrets.clean(msg), c.values(keysAndValues)...)
}

func (c *cleanSink) Error(err error, msg string, keysAndValues ...any) {
	c.LogSink.Error(c.secrets.cleanError(err), c.secrets.clean(msg), c.values(keysAndValues)...)
}

func (c *cleanSink) WithValues(keysAndValues ...any) logr.LogSink {
	return &cleanSink{LogSink: c.LogSink.WithValues(c.values(keysAndValues)...), secrets: c.secrets}
}

func (c *cleanSink) WithName(name string) logr.LogSink {
	return &cleanSink{LogSink: c.LogSink.WithName(name), secrets: c.secrets}
}

// values returns values without what is secret. One that has something of it becomes a text.
func (c *cleanSink) values(values []any) []any {
	cleaned := slices.Clone(values)
	for i, value := range values {
		var text string
		switch value := value.(type) {
		case string:
			text = value
		case error:
			text = value.Error()
		case []byte:
			text = string(value)
		default:
			text = fmt.Sprintf("%+v", value)
		}
		if now := c.secrets.clean(text); now != text {
			cleaned[i] = now
		}
	}
	return cleaned
}
