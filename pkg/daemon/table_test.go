package daemon

import (
	"encoding/json"
	"strings"
	"testing"
)

// foreignText has what a terminal obeys: escape, DEL, a C1 control character and a turn of the
// direction of text, and what is no UTF-8.
const foreignText = "a\x1b]0;b\x07\x7f\u009b31m\u202ec\u2066d\U000e0001e\xff"

func TestPlain(t *testing.T) {
	if got, want := plain("x\n"+foreignText+"\tü😀"), "x a ]0;b   31m c d e\uFFFD ü😀"; got != want {
		t.Errorf("one line is %q, want %q", got, want)
	}
	if got, want := plainLines("x\n\ty\r\u202ez"), "x\n\ty  z"; got != want {
		t.Errorf("lines are %q, want %q", got, want)
	}
}

// TestPlainJSON wants a document that a terminal can show and that means the same.
func TestPlainJSON(t *testing.T) {
	document := map[string]string{"text": foreignText + "ü😀"}
	var indented, raw strings.Builder
	if err := writeJSON(&indented, document); err != nil {
		t.Fatal(err)
	}
	if err := writeRawJSON(&raw, []byte("{\"text\":\"\x7f\u009b\u202e\U000e0001\xffü😀\"}"), false); err != nil {
		t.Fatal(err)
	}
	if want := `{"text":"\u007f\u009b\u202e\udb40\udc01\ufffdü😀"}` + "\n"; raw.String() != want {
		t.Errorf("raw: %q, want %q", raw.String(), want)
	}
	if strings.ContainsFunc(indented.String(), func(r rune) bool { return r != '\n' && unprintable(r) }) {
		t.Errorf("not all is escaped: %q", indented.String())
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(indented.String()), &back); err != nil || back["text"] != strings.ToValidUTF8(document["text"], "\uFFFD") {
		t.Errorf("it is read as %q, %v", back["text"], err)
	}
}
