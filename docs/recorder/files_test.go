package recorder

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"
)

// read returns the names in a folder, sorted, and their contents one after the other, unpacked.
func read(t *testing.T, dir string) (names []string, texts [][]byte) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	sort.Strings(names)
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") {
			packed, err := gzip.NewReader(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if text, err = io.ReadAll(packed); err != nil {
				t.Fatal(err)
			}
		}
		texts = append(texts, text)
	}
	return names, texts
}

func TestFilesRotateAndNothingIsLostBetweenThem(t *testing.T) {
	for _, compress := range []bool{false, true} {
		dir := t.TempDir()
		rec := start(t, Options{Dir: dir, MaxFileBytes: 4000, MaxFiles: 1000, Compress: compress})
		eventually(t, "40 samples", func() bool { runtime.GC(); return rec.Stats().Written >= 40 })
		stopWell(t, rec)
		names, texts := read(t, dir)
		if len(names) < 5 {
			t.Fatalf("expected several files, found %v", names)
		}
		var last int64
		for i, text := range texts {
			lines, broken := parse(t, text)
			if broken > 0 || lines[0].Type != "meta" || lines[0].File != i+1 || lines[0].Proc != 1 {
				t.Fatalf("%s: %d broken lines, begins with %+v", names[i], broken, lines[0])
			}
			// One line is always taken, however long; a note and a line may come after it.
			if len(lines) > 2 && len(text) > 4000 {
				t.Errorf("%s: %d bytes", names[i], len(text))
			}
			if packed := strings.HasSuffix(names[i], ".gz"); packed != (compress && i < len(names)-1) {
				t.Errorf("%s: packed %v", names[i], packed)
			}
			for _, s := range only(lines, "sample") {
				if s.TS <= last {
					t.Fatalf("%s: names do not sort in time", names[i])
				}
				last = s.TS
			}
		}
		all := bytes.Join(texts, nil)
		lines, _ := parse(t, all)
		if samples := only(lines, "sample"); uint64(len(samples)) != rec.Stats().Written {
			t.Fatalf("%d samples in files, %d written", len(samples), rec.Stats().Written)
		}
		checkPauses(t, all)
	}
}

func TestOldFilesAreDeletedAndOthersAreNot(t *testing.T) {
	dir := t.TempDir()
	kept := []string{"notes.txt", "other@i.000001-000001.20261123T000000Z.samples.ndjson", "checkout-api@checkout-api-0.samples.ndjson"}
	for _, name := range kept {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unfinished := filepath.Join(dir, "checkout-api@checkout-api-0.000001-000001.20261123T000000Z.samples.ndjson.gz.tmp")
	if err := os.WriteFile(unfinished, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rec := start(t, Options{Dir: dir, MaxFileBytes: 1, MaxFiles: 3})
	eventually(t, "10 samples", func() bool { return rec.Stats().Written >= 10 })
	stopWell(t, rec)
	names, _ := read(t, dir)
	if len(names) != len(kept)+3 {
		t.Fatalf("found %v", names)
	}
	for _, name := range kept {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestTheNumberOfTheProcess(t *testing.T) {
	dir := t.TempDir()
	record := func() []sampleLine {
		t.Helper()
		rec := start(t, Options{Dir: dir})
		runtime.GC()
		stopWell(t, rec)
		_, texts := read(t, dir)
		lines, _ := parse(t, texts[len(texts)-1])
		return lines
	}
	restart := func() {
		claimsMutex.Lock()
		defer claimsMutex.Unlock()
		claims = map[string]*claim{} // as a new process finds it
	}
	if lines := record(); lines[0].Proc != 1 || lines[1].Proc != 1 {
		t.Fatalf("found %+v", lines[0])
	}
	// Started again by the same process: the same number, the next file, and no pause twice.
	runtime.GC()
	if lines := record(); lines[0].Proc != 1 || lines[0].File != 2 {
		t.Fatalf("found %+v", lines[0])
	}
	_, texts := read(t, dir)
	checkPauses(t, bytes.Join(texts, nil))
	restart()
	if lines := record(); lines[0].Proc != 2 || lines[1].Proc != 2 || lines[0].File != 1 {
		t.Fatalf("found %+v", lines[0])
	}
	restart()
	rec := start(t, Options{Dir: dir, Process: 9})
	stopWell(t, rec)
	restart()
	if lines := record(); lines[0].Proc != 10 {
		t.Fatalf("found %+v", lines[0])
	}
}

func TestTwoRecordersOfOneInstanceAreRefused(t *testing.T) {
	dir := t.TempDir()
	rec := start(t, Options{Dir: dir})
	if _, err := Start(Options{Service: "checkout-api", Instance: "checkout-api-0", Dir: dir + "/."}); err == nil {
		t.Fatal("expected an error")
	}
	other := start(t, Options{Service: "checkout-api", Instance: "checkout-api-1", Dir: dir})
	for _, r := range []*Recorder{rec, other} {
		stopWell(t, r)
	}
}

func TestAFolderThatGoesAwayIsMadeAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	rec := start(t, Options{Dir: dir, MaxFileBytes: 1500})
	eventually(t, "a sample", func() bool { return rec.Stats().Written > 0 })
	if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a file", func() bool { entries, _ := os.ReadDir(dir); return len(entries) > 0 })
	_ = rec.Stop()
	if rec.Stats().Panics > 0 {
		t.Fatalf("%+v", rec.Stats())
	}
}

func TestAFileThatIsMovedAwayIsBegunAgain(t *testing.T) {
	dir := t.TempDir()
	f := &files{base: filepath.Join(dir, "s@i"), kind: "samples", maxBytes: 1 << 20, maxFiles: 4,
		meta: func(string, int) []byte { return []byte("meta\n") }}
	if _, err := f.begin(0, func(int) {}); err != nil {
		t.Fatal(err)
	}
	if err := f.write([]byte("one\n")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(f.path, filepath.Join(dir, "taken")); err != nil {
		t.Fatal(err)
	}
	f.lookAt = time.Time{}
	if err := f.write([]byte("two\n")); err != nil {
		t.Fatal(err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(f.path)
	if err != nil || string(text) != "meta\ntwo\n" {
		t.Fatalf("found %q, %v", text, err)
	}
}

func TestALineThatDoesNotFitOnTheDiskIsTakenBack(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here: ", err)
	}
	f := &files{file: full, maxBytes: 1 << 20, lookAt: time.Now().Add(time.Hour)}
	if err := f.write([]byte("line\n")); err == nil {
		t.Fatal("expected an error")
	}
	if f.size != 0 {
		t.Fatalf("size became %d", f.size)
	}
}

func TestNamesFromOutsideDoNotBecomePaths(t *testing.T) {
	seen := map[string]string{}
	for _, c := range []struct{ service, instance, want string }{
		{"checkout-api", "host-7", "checkout-api@host-7"},
		{"a", "10.0.0.1:80", "a@10.0.0.1_80-"},
		{"a", "10.0.0.1_80", "a@10.0.0.1_80"},
		{"../../etc", "passwd", "_./.._etc@passwd-"},
		{"a/b", "c", "a_b@c-"},
		{"a@b", "c", "a@b@c-"},
		{"a", "b@c", "a@b@c-"},
		{"", "", "@"},
		{"\x00\n", "é", "__@_-"},
		{strings.Repeat("x", 300), "", strings.Repeat("x", 120) + "-"},
	} {
		prefix := filePrefix(c.service, c.instance)
		want := strings.ReplaceAll(c.want, "/", "_")
		if !strings.HasPrefix(prefix, want) || strings.ContainsAny(prefix, "/\\\x00") || strings.HasPrefix(prefix, ".") {
			t.Errorf("%q, %q: expected %q, found %q", c.service, c.instance, want, prefix)
		}
		if other, ok := seen[prefix]; ok {
			t.Errorf("%q and %q have one prefix", other, c.service)
		}
		seen[prefix] = c.service
	}
}
