package events

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	clientevents "k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/reference"
)

// reporter is what every event's reportingController begins with; the definition's name follows.
const reporter = "kooperd.dev/"

// What the API server takes at most, in bytes.
const (
	maxNote = 1024
	maxWord = 128 // of reason, action and reportingInstance
)

// recorder records the events of one definition.
type recorder struct {
	writer   *Writer
	outbox   *outbox
	instance string
	limited  bool
}

var _ clientevents.EventRecorder = (*recorder)(nil)

// instanceOf names this process.
func instanceOf(definition string) string {
	hostname, _ := os.Hostname() // Without one it is the definition alone.
	return cut(reporter+definition+"-"+hostname, maxWord)
}

// Eventf records an event. It returns at once.
func (r *recorder) Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any) {
	about, err := reference.GetReference(scheme.Scheme, regarding)
	if err != nil {
		r.outbox.logger.Error(err, "left out an event: its object is not known", "event", reason)
		return
	}
	event := &eventsv1.Event{
		EventTime: metav1.NowMicro(), ReportingController: reporter + r.outbox.definition, ReportingInstance: r.instance,
		Action: cut(action, maxWord), Reason: cut(reason, maxWord), Regarding: *about, Note: cut(fmt.Sprintf(note, args...), maxNote), Type: eventtype,
	}
	if related != nil {
		if event.Related, err = reference.GetReference(scheme.Scheme, related); err != nil {
			event.Related = nil // It is said without.
		}
	}
	event.Namespace = about.Namespace
	if event.Namespace == "" {
		event.Namespace = metav1.NamespaceDefault
	}
	event.Name = nameOf(event)
	if r.outbox.add(event, r.limited) {
		r.writer.send(r.outbox)
	}
}

// nameOf is the same for events that say the same of one object.
func nameOf(event *eventsv1.Event) string {
	of := func(r *corev1.ObjectReference) string {
		if r == nil {
			return ""
		}
		return strings.Join([]string{r.APIVersion, r.Kind, r.Namespace, r.Name, string(r.UID), r.FieldPath}, "\x00")
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{
		event.ReportingController, event.Type, event.Reason, event.Action, event.Note, of(&event.Regarding), of(event.Related),
	}, "\x00")))
	hash := hex.EncodeToString(sum[:8])
	name := event.Regarding.Name + "." + hash
	if len(validation.NameIsDNSSubdomain(name, false)) > 0 {
		return "kooperd." + hash // Roles have names that events must not have.
	}
	return name
}

// objectOf is what an event is about, as a Budget names it.
func objectOf(event *eventsv1.Event) string {
	about := event.Regarding
	if about.UID != "" {
		return string(about.UID)
	}
	return strings.Join([]string{about.Kind, about.Namespace, about.Name}, "/")
}

// cut returns at most so many bytes of a text.
func cut(text string, most int) string {
	const end = "…"
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(end)], "") + end
}
