module memwatch.dev/recorder

go 1.19
