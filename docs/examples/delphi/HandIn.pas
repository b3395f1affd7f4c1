{ Hands a mémoire d'honoraires in and prints its receipt, over a plain socket:
  what request.http and answer.http show. For programs without an HTTP library.

  Free Pascal:  fpc -Mdelphi HandIn.pas
  Delphi:       the routine Exchange is the only one that knows the socket; with
                Indy it is TIdTCPClient: Connect, IOHandler.Write, IOHandler.AllData.

  usage: SCEAU_URL=http://127.0.0.1:7733 SCEAU_TOKEN=sceau_... HandIn memoire.xml memoire.pdf }
program HandIn;

{$mode delphi}{$H+}

uses
  SysUtils, Classes, ssockets, base64;

type
  TAnswer = record
    Status: Integer;      // 0: there is none, whatever happened
    RetryAfter: Integer;  // seconds; 0: not asked for
    Body: AnsiString;
  end;

var
  Host, Token: AnsiString;
  Port: Word;

function ReadFile(const Name: string): AnsiString;
var
  Stream: TFileStream;
begin
  Stream := TFileStream.Create(Name, fmOpenRead or fmShareDenyWrite);
  try
    SetLength(Result, Stream.Size);
    if Result <> '' then Stream.ReadBuffer(Result[1], Length(Result));
  finally
    Stream.Free;
  end;
end;

procedure WriteFile(const Name: string; const Text: AnsiString);
var
  Stream: TFileStream;
begin
  Stream := TFileStream.Create(Name, fmCreate);
  try
    Stream.WriteBuffer(Text[1], Length(Text));
  finally
    Stream.Free;
  end;
end;

{ The whole answer to a whole request; empty when there is none. }
function Exchange(const Request: AnsiString): AnsiString;
var
  Socket: TInetSocket;
  Buffer: array[0..16383] of AnsiChar;
  Sent, Count, Size: LongInt;
begin
  Result := '';
  try
    Socket := TInetSocket.Create(Host, Port);
    try
      Socket.IOTimeout := 90000;
      Sent := 0;
      while Sent < Length(Request) do
      begin
        Count := Socket.Write(Request[Sent + 1], Length(Request) - Sent);
        if Count <= 0 then Exit('');
        Inc(Sent, Count);
      end;
      // "Connection: close": the answer ends with the connection.
      repeat
        Count := Socket.Read(Buffer, SizeOf(Buffer));
        if Count > 0 then
        begin
          Size := Length(Result);
          SetLength(Result, Size + Count);
          Move(Buffer, Result[Size + 1], Count);
        end;
      until Count <= 0;
    finally
      Socket.Free;
    end;
  except
    on ESocketError do Result := '';
  end;
end;

{ A header's value; empty when it is not there. }
function Header(const Head, Name: AnsiString): AnsiString;
var
  Start: Integer;
begin
  Result := '';
  Start := Pos(#13#10 + LowerCase(Name) + ':', LowerCase(Head));
  if Start = 0 then Exit;
  Result := Copy(Head, Start + Length(Name) + 3, MaxInt);
  Result := Trim(Copy(Result, 1, Pos(#13#10, Result + #13#10) - 1));
end;

function Ask(const Path, Body: AnsiString): TAnswer;
var
  Request, Text, Head: AnsiString;
  HeadEnd: Integer;
begin
  if Body = '' then Request := 'GET ' else Request := 'POST ';
  Request := Request + Path + ' HTTP/1.1'#13#10 +
    'Host: ' + Host + ':' + IntToStr(Port) + #13#10 +
    'Authorization: Bearer ' + Token + #13#10 +
    'Prefer: wait=20'#13#10 +
    'Connection: close'#13#10;
  if Body <> '' then
    Request := Request + 'Content-Type: application/json'#13#10 +
      'Content-Length: ' + IntToStr(Length(Body)) + #13#10;
  Text := Exchange(Request + #13#10 + Body);

  Result.Status := 0;
  Result.RetryAfter := 0;
  Result.Body := '';
  HeadEnd := Pos(#13#10#13#10, Text);
  if HeadEnd = 0 then Exit;
  Head := Copy(Text, 1, HeadEnd + 1);
  Result.Body := Copy(Text, HeadEnd + 4, MaxInt);
  // Cut off on its way: nobody knows what it would have said.
  if Length(Result.Body) <> StrToIntDef(Header(Head, 'Content-Length'), 0) then Exit;
  Result.Status := StrToIntDef(Copy(Head, 10, 3), 0);
  Result.RetryAfter := StrToIntDef(Header(Head, 'Retry-After'), 0);
end;

function Longer(Pause: Integer): Integer;
begin
  if Pause < 30 then Result := Pause * 2 else Result := 60;
end;

{ Repeats the very same request while nobody knows, or the service asks for it. }
function UntilAnswered(const Path, Body: AnsiString): TAnswer;
var
  Pause: Integer;
begin
  Pause := 1;
  repeat
    Result := Ask(Path, Body);
    if (Result.Status > 0) and (Result.Status < 500) then Exit;
    if Result.RetryAfter > 0 then
      Sleep(1000 * Result.RetryAfter)
    else
      Sleep(1000 * Pause);
    Pause := Longer(Pause);
  until False;
end;

{ Use your JSON library here; this one serves for the example only. }
function Field(const Json, Name: AnsiString): AnsiString;
var
  Start: Integer;
begin
  Start := Pos('"' + Name + '":', Json);
  if Start = 0 then Exit('');
  Result := TrimLeft(Copy(Json, Start + Length(Name) + 3, 200));
  if Copy(Result, 1, 1) = '"' then Delete(Result, 1, 1);
  Start := 1;
  while (Start <= Length(Result)) and not (Result[Start] in ['"', ',', '}']) do Inc(Start);
  Result := Copy(Result, 1, Start - 1);
end;

function Quoted(const Text: AnsiString): AnsiString;
var
  I, Size: Integer;
  Part: AnsiString;
begin
  SetLength(Result, 6 * Length(Text) + 2);
  Result[1] := '"';
  Size := 1;
  for I := 1 to Length(Text) do
  begin
    case Text[I] of
      '"', '\': Part := '\' + Text[I];
      #0..#31: Part := '\u' + IntToHex(Ord(Text[I]), 4);
    else
      Part := Text[I];
    end;
    Move(Part[1], Result[Size + 1], Length(Part));
    Inc(Size, Length(Part));
  end;
  Result[Size + 1] := '"';
  SetLength(Result, Size + 1);
end;

{ A 4xx, or a refusal by the insurer: repeating it would change nothing. }
procedure Refused(const Answer: TAnswer);
begin
  WriteLn(StdErr, Answer.Body);
  Halt(1);
end;

var
  Url, Uuid, Xml, Body: AnsiString;
  Kept: string;
  Guid: TGUID;
  Answer: TAnswer;
  Start, Stop, Pause: Integer;
begin
  Url := GetEnvironmentVariable('SCEAU_URL');
  Token := GetEnvironmentVariable('SCEAU_TOKEN');
  Delete(Url, 1, Length('http://'));
  Host := Copy(Url, 1, Pos(':', Url) - 1);
  Port := StrToInt(Copy(Url, Pos(':', Url) + 1, MaxInt));

  // Your program writes a fresh version 4 UUID into each new document.
  CreateGUID(Guid);
  Uuid := LowerCase(Copy(GUIDToString(Guid), 2, 36));
  Xml := ReadFile(ParamStr(1));
  Start := Pos('uuid>', Xml) + Length('uuid>');
  Stop := Start;
  while Xml[Stop] <> '<' do Inc(Stop);
  Xml := Copy(Xml, 1, Start - 1) + Uuid + Copy(Xml, Stop, MaxInt);
  Body := '{"xml": ' + Quoted(Xml) + ', "pdf": "' + EncodeStringBase64(ReadFile(ParamStr(2))) + '"}';
  // On disk before the first request: after a crash the same bytes go out again.
  // (Your program keeps it in its own database and sends it again at its start.)
  Kept := GetTempDir + 'sceau-' + Uuid + '.json';
  WriteFile(Kept, Body);

  Answer := UntilAnswered('/v1/forms/memoire-honoraires/depot', Body);
  DeleteFile(Kept);
  if (Answer.Status <> 200) and (Answer.Status <> 202) then Refused(Answer);
  Pause := 1;
  while Field(Answer.Body, 'is_final') <> 'true' do
  begin
    WriteLn(StdErr, Field(Answer.Body, 'state'));
    Sleep(1000 * Pause);
    Pause := Longer(Pause);
    Answer := UntilAnswered('/v1/submissions/' + Uuid, '');
    if Answer.Status <> 200 then Refused(Answer);
  end;
  if Field(Answer.Body, 'state') <> 'receipted' then Refused(Answer);
  WriteLn(Field(Answer.Body, 'insurer_id'));
  WriteLn(UntilAnswered('/v1/submissions/' + Uuid + '/receipt', '').Body);
end.
