package recorder

import (
	"compress/gzip"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// reopenEvery is how often a file that cannot be opened is tried again.
	reopenEvery = time.Second
	// lookEvery is how often we look whether the file is still where we made it.
	lookEvery = 10 * time.Second
)

// files writes lines to a sequence of files of bounded number and size, each beginning with a meta line:
//
//	checkout-api@host-7.000003-000012.20261123T152810Z.samples.ndjson
//
// is the 12th file of the 3rd process of that instance, begun at that time. The numbers come first, so that names sort in the order of
// writing whatever the clock does.
//
// Lines are not synced to the disk: they survive the end of the process, however it ends, but not that of the machine.
type files struct {
	base     string // folder and prefix
	kind     string
	maxBytes int64
	maxFiles int
	compress bool
	meta     func(event string, file int) []byte
	report   func(error) // what went wrong and cost no line

	process, number int
	file            *os.File
	path            string
	size, metaSize  int64
	retryAt, lookAt time.Time
}

// name is the name of a file taken apart.
type name struct {
	process, number int
	path            string
}

// begin makes the folder and the first file. Without a number of the process it takes the one after the newest file's. `identify` is
// told the number before the first meta line is asked for.
func (f *files) begin(process int, identify func(process int)) (int, error) {
	if err := os.MkdirAll(filepath.Dir(f.base), 0o755); err != nil {
		return 0, err
	}
	f.process = process
	if f.process == 0 {
		f.process = 1
		for _, kind := range []string{"samples", "metrics"} {
			names, err := f.list(kind)
			if err != nil {
				return 0, err
			}
			if len(names) > 0 && names[len(names)-1].process >= f.process {
				f.process = names[len(names)-1].process + 1
			}
		}
	}
	identify(f.process)
	err := f.open()
	for tries := 0; process == 0 && errors.Is(err, os.ErrExist) && tries < 100; tries++ {
		f.process++ // another process of this instance has just taken it
		identify(f.process)
		err = f.open()
	}
	return f.process, err
}

func (f *files) write(text []byte) error {
	now := time.Now()
	if f.file != nil && now.After(f.lookAt) {
		f.lookAt = now.Add(lookEvery)
		if ours, err := f.file.Stat(); err == nil {
			if there, err := os.Lstat(f.path); err != nil || !os.SameFile(ours, there) {
				f.shut() // deleted or moved away: lines would go to nowhere
			}
		}
	}
	if f.file != nil && f.size > f.metaSize && f.size+int64(len(text)) > f.maxBytes {
		path := f.path
		f.shut()
		if f.compress {
			if err := pack(path); err != nil {
				f.report(err) // the plain file stays
			}
		}
	}
	if f.file == nil {
		if now.Before(f.retryAt) {
			return errors.New("waiting to open a file again")
		}
		f.retryAt = now.Add(reopenEvery)
		if err := f.open(); err != nil {
			return err
		}
	}
	return f.append(text)
}

// append writes a whole line or takes back what it wrote of it.
func (f *files) append(text []byte) error {
	n, err := f.file.Write(text)
	if err == nil {
		f.size += int64(n)
		return nil
	}
	if n > 0 && f.file.Truncate(f.size) != nil {
		f.shut() // a line without its end stays, as the last one of its file
	}
	return err
}

// open begins the next file and deletes the oldest ones.
func (f *files) open() error {
	names, err := f.list(f.kind)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(f.base), 0o755); err != nil {
			return err
		}
	}
	number := f.number
	for _, n := range names {
		if n.process == f.process && n.number > number {
			number = n.number
		}
	}
	number++
	// Room first: on a full disk it is the oldest file that gives it.
	for len(names) >= f.maxFiles {
		if err := os.Remove(names[0].path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		names = names[1:]
	}
	now := time.Now()
	path := fmt.Sprintf("%s.%06d-%06d.%s.%s.ndjson", f.base, f.process, number, now.UTC().Format("20060102T150405Z"), f.kind)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	meta := f.meta("begin", number)
	if _, err := file.Write(meta); err != nil {
		_ = file.Close()
		_ = os.Remove(path)
		return err
	}
	f.file, f.path, f.number = file, path, number
	f.size, f.metaSize = int64(len(meta)), int64(len(meta))
	f.lookAt = now.Add(lookEvery)
	return nil
}

func (f *files) shut() {
	_ = f.file.Close()
	f.file = nil
	f.retryAt = time.Time{}
}

func (f *files) close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// list returns this instance's files of one kind, oldest first. What else is in the folder is left alone.
func (f *files) list(kind string) ([]name, error) {
	entries, err := os.ReadDir(filepath.Dir(f.base))
	if err != nil {
		return nil, err
	}
	pattern := regexp.MustCompile(`^` + regexp.QuoteMeta(filepath.Base(f.base)) + `\.(\d{6,9})-(\d{6,9})\.\d{8}T\d{6}Z\.` + kind + `\.ndjson(\.gz(\.tmp)?)?$`)
	var names []name
	for _, entry := range entries {
		parts := pattern.FindStringSubmatch(entry.Name())
		if parts == nil {
			continue
		}
		path := filepath.Join(filepath.Dir(f.base), entry.Name())
		if parts[4] != "" {
			_ = os.Remove(path) // packing was cut short; the plain file is still there
			continue
		}
		process, _ := strconv.Atoi(parts[1])
		number, _ := strconv.Atoi(parts[2])
		names = append(names, name{process: process, number: number, path: path})
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := names[i], names[j]
		switch {
		case a.process != b.process:
			return a.process < b.process
		case a.number != b.number:
			return a.number < b.number
		}
		return a.path < b.path
	})
	return names, nil
}

// pack replaces a file by its gzip. The plain file goes only when the packed one is on the disk.
func pack(path string) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	unfinished := path + ".gz.tmp"
	out, err := os.Create(unfinished)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = out.Close()
			_ = os.Remove(unfinished)
		}
	}()
	packer := gzip.NewWriter(out)
	if _, err := io.Copy(packer, in); err != nil {
		return err
	}
	if err := packer.Close(); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	if err := os.Rename(unfinished, path+".gz"); err != nil {
		return err
	}
	return os.Remove(path)
}

// filePrefix is how the names of an instance's files begin. Names come from outside and must not become paths: other characters than
// letters, digits, `.`, `_` and `-` are replaced, and a hash keeps what was different different.
func filePrefix(service, instance string) string {
	whole := service + "@" + instance
	clean := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("._-@", r):
			return r
		}
		return '_'
	}, whole)
	if len(clean) > 120 {
		clean = clean[:120]
	}
	if strings.HasPrefix(clean, ".") {
		clean = "_" + clean[1:]
	}
	if clean == whole && strings.Count(whole, "@") == 1 {
		return clean
	}
	hash := fnv.New32a()
	_, _ = io.WriteString(hash, fmt.Sprintf("%q %q", service, instance))
	return fmt.Sprintf("%s-%08x", clean, hash.Sum32())
}

// claim is one instance's files in one folder, which only one recorder of this process may write. It outlives the recorder, so that
// one that is started again goes on as the same process with the next pause.
type claim struct {
	base    string
	active  bool
	process int
	numGC   uint32
}

var (
	claimsMutex sync.Mutex
	claims      = map[string]*claim{}
)

func claimFiles(base string) (*claim, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return nil, err
	}
	claimsMutex.Lock()
	defer claimsMutex.Unlock()
	c := claims[base]
	if c == nil {
		c = &claim{base: base}
		claims[base] = c
	}
	if c.active {
		return nil, fmt.Errorf("this process is recording to %s.* already", base)
	}
	c.active = true
	return c, nil
}

// resume is the cycle whose pause was recorded last.
func (c *claim) resume() uint32 {
	if c == nil {
		return 0
	}
	return c.numGC
}

// release lets another recorder have the files.
func (c *claim) release(numGC uint32) {
	if c == nil {
		return
	}
	claimsMutex.Lock()
	defer claimsMutex.Unlock()
	c.active = false
	if numGC > 0 {
		c.numGC = numGC
	}
}
