#!/usr/bin/perl
# Net::SMPP as an ESME: binds to the given port, tries each operation, and prints each PDU that it reads as a line of JSON.
use strict;
use warnings;
use Net::SMPP;
use JSON::PP;

my ($port, $system_id, $password) = @ARGV;
my $json = JSON::PP->new->canonical->latin1;
my %name = map { $_ => Net::SMPP::pdu_tab->{$_}{cmd} } keys %{ Net::SMPP::pdu_tab() };
$| = 1;

# Printable text is unchanged, other values are in hex; the raw body and TLVs by number are omitted.
sub readable {
    my $value = shift;
    return [map { readable($_) } @$value] if ref $value;
    return $value =~ /^[\x20-\x7e]*$/ ? "$value" : 'hex:' . unpack('H*', $value);
}

sub show {
    my ($as, $pdu) = @_;
    my %fields = map { $_ => readable($pdu->{$_}) } grep { !/^(?:data|known_pdu|\d+)$/ && defined $pdu->{$_} } keys %$pdu;
    $fields{cmd} = $name{ $pdu->{cmd} } // $pdu->{cmd};
    print $json->encode({ as => $as, %fields }), "\n";
}

my ($smpp, $bound) = Net::SMPP->new_transceiver(
    '127.0.0.1',
    port      => $port,
    system_id => $system_id,
    password  => $password,
    timeout   => 5,
) or die "no connection: $!";
show('bind', $bound);

# Waits for the response to a request, and acknowledges deliver_sm and enquire_link PDUs until then.
sub await {
    my ($as, $response, $seq) = @_;
    while (my $pdu = $smpp->read_pdu) {
        if ($pdu->{cmd} == Net::SMPP::CMD_deliver_sm) { acknowledge($pdu) }
        elsif ($pdu->{cmd} == Net::SMPP::CMD_enquire_link) { $smpp->enquire_link_resp(seq => $pdu->{seq}) }
        elsif ($pdu->{cmd} == $response && $pdu->{seq} == $seq) { show($as, $pdu); return $pdu }
        else { show('unexpected', $pdu) }
    }
    die "the connection ended before $as got a response";
}

my $delivered = 0;

sub acknowledge {
    my $pdu = shift;
    show('delivered', $pdu);
    $smpp->deliver_sm_resp(message_id => '', seq => $pdu->{seq}, async => 1);
    $delivered++;
}

my @from = (source_addr => '12345', source_addr_ton => 0, source_addr_npi => 0);
my @to   = (destination_addr => '12125550199', dest_addr_ton => 1, dest_addr_npi => 1);

my $text = await('submit', Net::SMPP::CMD_submit_sm_resp,
    $smpp->submit_sm(@from, @to, registered_delivery => 1, short_message => 'Hello from Perl', async => 1));
await('rejected', Net::SMPP::CMD_submit_sm_resp,
    $smpp->submit_sm(@from, @to, destination_addr => '12125550110', short_message => 'Nobody', async => 1));
await('multi', Net::SMPP::CMD_submit_multi_resp,
    $smpp->submit_multi(
        @from,
        dest_flag           => [1, 1],
        dest_addr_ton       => [1, 1],
        dest_addr_npi       => [1, 1],
        destination_addr    => ['12125550198', '12125550110'],
        registered_delivery => 1,
        short_message       => 'Hello all',
        async               => 1,
    ));
await('data', Net::SMPP::CMD_data_sm_resp,
    $smpp->data_sm(@from, @to, registered_delivery => 1, message_payload => 'Hello data', async => 1));
await('query', Net::SMPP::CMD_query_sm_resp,
    $smpp->query_sm(message_id => $text->{message_id}, @from, async => 1));
await('cancel', Net::SMPP::CMD_cancel_sm_resp,
    $smpp->cancel_sm(message_id => $text->{message_id}, @from, @to, async => 1));
await('enquire', Net::SMPP::CMD_enquire_link_resp, $smpp->enquire_link(async => 1));
while ($delivered < 3) {
    my $pdu = $smpp->read_pdu or die 'the connection ended before the receipts arrived';
    acknowledge($pdu) if $pdu->{cmd} == Net::SMPP::CMD_deliver_sm;
}
await('unbind', Net::SMPP::CMD_unbind_resp, $smpp->unbind(async => 1));
